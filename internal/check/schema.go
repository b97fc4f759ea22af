package check

import (
	"cmp"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/check/schema"
)

// schemas validates an environment's objects against the API of its cluster. A definition may come from any
// environment, as it is often installed from elsewhere; that of the environment itself counts first.
func schemas(s *subject, e *environment) found {
	o := schema.Options{KubeVersion: cmp.Or(s.KubeVersion, e.KubeVersion)}
	for _, other := range s.envs {
		o.Definitions = append(o.Definitions, other.objects...)
	}
	o.Definitions = append(append(o.Definitions, s.Definitions...), e.objects...)
	v, err := schema.New(o)
	if err != nil {
		return found{unchecked: []finding.Unchecked{{What: "the schema of all objects", Why: err.Error()}}}
	}
	var all found
	for _, obj := range e.objects {
		findings, unchecked := v.Check(obj)
		all.findings = append(all.findings, findings...)
		for _, u := range unchecked {
			isSame := func(o finding.Unchecked) bool { return o.What == u.What && o.Why == u.Why }
			if !slices.ContainsFunc(all.unchecked, isSame) {
				all.unchecked = append(all.unchecked, u)
			}
		}
	}
	return all
}
