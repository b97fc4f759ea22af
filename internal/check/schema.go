package check

import (
	"cmp"
	"fmt"

	"slipway/internal/check/finding"
	"slipway/internal/check/schema"
)

var schemas = group{rules: schema.Rules, each: (*run).schema}

// schema holds an environment's objects against the API of its cluster. A definition may come from any
// environment, as it is often installed from elsewhere; that of the environment itself counts first.
func (r *run) schema(env environment) {
	o := schema.Options{KubeVersion: cmp.Or(r.KubeVersion, env.KubeVersion)}
	for _, e := range r.envs {
		o.Definitions = append(o.Definitions, e.set.Objects()...)
	}
	o.Definitions = append(append(o.Definitions, r.Definitions...), env.set.Objects()...)
	v, err := schema.New(o)
	if err != nil {
		r.unchecked(finding.Unchecked{What: "the objects of " + env.Name + " against the Kubernetes API",
			Why: err.Error()})
		return
	}
	var left []finding.Unchecked
	more := map[string]int{}
	for _, obj := range env.set.Objects() {
		found, unchecked := v.Check(obj)
		for _, f := range found {
			r.find(f)
		}
		for _, u := range unchecked {
			if more[u.Why]++; more[u.Why] == 1 {
				left = append(left, u)
			}
		}
	}
	for _, u := range left {
		if n := more[u.Why] - 1; n > 0 {
			u.What += fmt.Sprintf(", and that of %d more", n)
		}
		r.unchecked(u)
	}
}
