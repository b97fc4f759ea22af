package check

import (
	"cmp"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
)

// finish gives the findings their places, masks what is secret in them, and puts them in order.
func finish(all []finding.Finding, s *subject, l *locator) []finding.Finding {
	var secrets []string
	for _, e := range s.envs {
		secrets = append(secrets, object.SecretValues(e.Set)...)
	}
	placed := []finding.Finding{}
	for _, f := range all {
		f.Message, f.Fix = object.Mask(f.Message, secrets), object.Mask(f.Fix, secrets)
		if f.Place != (finding.Place{}) || f.Object == nil {
			placed = append(placed, f)
			continue
		}
		if len(f.Environments) == 0 {
			f.Place = l.at("", *f.Object, f.Field)
			placed = append(placed, f)
		}
		for _, name := range f.Environments {
			one := f
			one.Environments, one.Place = []string{name}, l.at(name, *f.Object, f.Field)
			placed = append(placed, one)
		}
	}
	placed = merge(withoutSlips(placed), l)
	slices.SortStableFunc(placed, func(a, b finding.Finding) int {
		return cmp.Or(strings.Compare(string(a.Severity), string(b.Severity)), a.Place.Compare(b.Place),
			strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return placed
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
