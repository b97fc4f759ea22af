package check

import (
	"slipway/internal/finding"
	"slipway/internal/object"
	"slipway/internal/schema"
)

var schemas = group{rules: schema.Rules, each: (*run).schema}

// schema holds an environment's objects against their types. Custom resources are defined by any
// environment: definitions are often installed by another one.
func (r *run) schema(env environment) {
	var all []object.Object
	for _, e := range append([]environment{env}, r.envs...) {
		all = append(all, e.set.Objects()...)
	}
	v, err := schema.New(schema.Options{KubeVersion: env.KubeVersion, Definitions: append(all, r.Definitions...)})
	if err != nil {
		r.unchecked(finding.Unchecked{What: "the types of " + env.Name, Why: err.Error()})
		return
	}
	for _, o := range env.set.Objects() {
		findings, unchecked := v.Check(o)
		for _, f := range findings {
			r.find(f)
		}
		for _, u := range unchecked {
			r.unchecked(u)
		}
	}
}
