package check

import (
	"cmp"
	"fmt"

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
		return found{unchecked: []finding.Unchecked{{What: "the schema of all objects in " + e.Name,
			Why: err.Error()}}}
	}
	var all found
	counts := map[string]int{}
	for _, obj := range e.objects {
		findings, unchecked := v.Check(obj)
		all.findings = append(all.findings, findings...)
		for _, u := range unchecked {
			if counts[u.Why]++; counts[u.Why] == 1 {
				all.unchecked = append(all.unchecked, u)
			}
		}
	}
	for i, u := range all.unchecked {
		if n := counts[u.Why] - 1; n > 0 {
			all.unchecked[i].What += fmt.Sprintf(", and that of %d more", n)
		}
	}
	return all
}
