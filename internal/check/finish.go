package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
)

// finish gives the findings their tiers and places, masks what is secret in them, and puts them in order.
func finish(all []finding.Finding, s *subject, l *locator) []finding.Finding {
	var secrets []string
	for _, e := range s.envs {
		secrets = append(secrets, object.SecretValues(e.Set)...)
	}
	secrets = slices.DeleteFunc(secrets, func(text string) bool {
		return slices.ContainsFunc(s.envs, func(e *environment) bool { return e.Name == text })
	})
	rules := rulesByID(s)
	placed := []finding.Finding{}
	for _, f := range all {
		f.Tier = rules[f.Rule].TierOf(f.Severity)
		f.Message, f.Fix = object.Mask(f.Message, secrets), object.Mask(f.Fix, secrets)
		if f.Place != (finding.Place{}) || f.Object == nil {
			placed = append(placed, f)
			continue
		}
		if len(f.Environments) == 0 {
			placed = append(placed, place(f, "", l, secrets))
		}
		for _, name := range f.Environments {
			one := place(f, name, l, secrets)
			one.Environments = []string{name}
			placed = append(placed, one)
		}
	}
	placed = merge(withoutSlips(placed), l)
	slices.SortStableFunc(placed, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(finding.Tiers, a.Tier), slices.Index(finding.Tiers, b.Tier)),
			strings.Compare(string(a.Severity), string(b.Severity)), a.Place.Compare(b.Place),
			strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return placed
}

// place gives a finding about a field its place, and advice to quote a value the value's own spelling.
func place(f finding.Finding, env string, l *locator, secrets []string) finding.Finding {
	f.Place = l.at(env, *f.Object, f.Field)
	if f.Other != "" {
		f.Message += fmt.Sprintf(" (the other is at %s)", l.at(env, *f.Object, f.Other))
	}
	if f.Value != nil {
		if text, ok := spelling(l.documents(f.Place.File), f.Place, f.Field); ok {
			f.Message = strings.TrimSuffix(f.Message, fmt.Sprint(f.Value)) + object.Mask(text, secrets)
		}
	}
	if f.Fix != finding.Quote {
		return f
	}
	if o, ok := l.object(env, *f.Object); ok && o.Origin.Line == 0 && o.Origin.File != "" {
		f.Fix = "Put the value in quotes where it is set, and add `| quote` in the template."
	} else if text, ok := spelling(l.documents(f.Place.File), f.Place, f.Field); ok {
		f.Fix = object.Mask(fmt.Sprintf("Quote it: %q", text), secrets)
	}
	return f
}

// merge makes one finding of what is written once and wrong in several environments.
func merge(all []finding.Finding, l *locator) []finding.Finding {
	type key struct {
		rule, message, field, fix, kind, name string
		severity                              finding.Severity
		place                                 finding.Place
	}
	first := map[key]int{}
	out := []finding.Finding{}
	for _, f := range all {
		k := key{rule: f.Rule, message: f.Message, field: f.Field, fix: f.Fix, severity: f.Severity, place: f.Place}
		if f.Object != nil && len(f.Environments) > 0 {
			k.kind, k.name = f.Object.Kind, l.written(f.Environments[0], *f.Object)
			k.message = strings.ReplaceAll(f.Message, f.Object.Name, k.name)
			k.fix = strings.ReplaceAll(f.Fix, f.Object.Name, k.name)
		}
		i, ok := first[k]
		if !ok {
			first[k] = len(out)
			out = append(out, f)
			continue
		}
		for _, name := range f.Environments {
			if !slices.Contains(out[i].Environments, name) {
				out[i].Environments = append(slices.Clone(out[i].Environments), name)
			}
		}
	}
	return out
}

// withoutSlips leaves out the other findings about a container without an image: such a container is one
// slip, for example a patch for another name, and lacks everything else too.
func withoutSlips(all []finding.Finding) []finding.Finding {
	isSlip := func(f, g finding.Finding) bool {
		container, ok := strings.CutSuffix(g.Field, "].image")
		return ok && g.Rule == "required-field" && f.Rule != g.Rule && f.Object != nil && g.Object != nil &&
			*f.Object == *g.Object && strings.HasPrefix(f.Field, container+"]")
	}
	return slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool {
		return slices.ContainsFunc(all, func(g finding.Finding) bool { return isSlip(f, g) })
	})
}
