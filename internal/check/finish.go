package check

import (
	"cmp"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
)

// finish gives the findings their places, hides what is secret in them, and puts them in order.
func (r *run) finish() {
	var secrets []string
	for _, e := range r.envs {
		secrets = append(secrets, object.SecretValues(e.set)...)
	}
	var all []finding.Finding
	for _, f := range r.report.Findings {
		f.Message, f.Fix = object.Mask(f.Message, secrets), object.Mask(f.Fix, secrets)
		if f.Place != (finding.Place{}) || f.Object == nil {
			all = append(all, f)
			continue
		}
		if len(f.Environments) == 0 {
			f.Place = r.locator.at("", *f.Object, f.Field)
			all = append(all, f)
		}
		for _, name := range f.Environments {
			one := f
			one.Environments, one.Place = []string{name}, r.locator.at(name, *f.Object, f.Field)
			all = append(all, one)
		}
	}
	all = r.locator.merge(withoutSlips(all))
	slices.SortStableFunc(all, func(a, b finding.Finding) int {
		return cmp.Or(strings.Compare(string(a.Severity), string(b.Severity)), a.Place.Compare(b.Place),
			strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	r.report.Findings = append(r.report.Findings[:0], all...)
}

// merge makes one finding of what is written once and wrong in several environments.
func (l *locator) merge(all []finding.Finding) []finding.Finding {
	type key struct {
		rule, message, field, fix, kind, name string
		severity                              finding.Severity
		place                                 finding.Place
	}
	first := map[key]int{}
	var out []finding.Finding
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

// withoutSlips leaves out what is said of a container without an image: that it lacks all the rest, too,
// is one slip, such as a patch for another name.
func withoutSlips(all []finding.Finding) []finding.Finding {
	slip := func(f, g finding.Finding) bool {
		container, ok := strings.CutSuffix(g.Field, "].image")
		return ok && g.Rule == "required-field" && f.Rule != g.Rule && f.Object != nil && g.Object != nil &&
			*f.Object == *g.Object &&
			strings.HasPrefix(f.Field, container+"]")
	}
	return slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool {
		return slices.ContainsFunc(all, func(g finding.Finding) bool { return slip(f, g) })
	})
}
