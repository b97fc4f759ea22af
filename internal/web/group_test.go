package web

import (
	"fmt"
	"testing"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/rollout"
)

// Of 10,000 objects the ones with problems come first, then those that drifted.
func TestProblemsFirst(t *testing.T) {
	var set object.Set
	var states []rollout.Standing
	var d deploy.Drift
	for i := range 10_000 {
		o := object.Object{Body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": fmt.Sprintf("c-%05d", i), "namespace": "prod"}}}
		if err := set.Add(o); err != nil {
			t.Fatal(err)
		}
		state := rollout.Standing{Ref: o.Ref(), Health: object.Health{Status: object.Current}}
		switch {
		case i%2000 == 1999:
			state.Health.Status = object.Failed
		case i%2000 == 1000:
			state.Health.Status = object.InProgress
		case i%2000 == 500:
			d.Changed = append(d.Changed, deploy.Drifted{Ref: o.Ref(), What: deploy.Deleted})
		}
		states = append(states, state)
	}
	rows := rowsOf(set, states, d)
	for i, want := range []string{"bad", "busy", "good", "good"} {
		for _, r := range rows[5*i : 5*i+5] {
			if r.State() != want || want == "good" && (r.Drifted > 0) != (i == 2) {
				t.Errorf("row %s is %s, with %d changes", r.Ref, r.State(), r.Drifted)
			}
		}
	}
}
