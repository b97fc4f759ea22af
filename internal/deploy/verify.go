package deploy

import (
	"context"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// verify compares what was applied with what is there now, and notes in the release what does not hold: a
// controller or webhook may have written another value. The server's own answer is in the plan already.
func verify(ctx context.Context, r run, p Proposal, rel *release.Release) {
	var sent []cluster.Sent
	known := map[object.Ref][]object.Field{}
	for _, c := range p.Plan.Changes {
		obj, ok := p.objects.Get(c.Ref)
		if !ok || c.Action != plan.Create && c.Action != plan.Update && c.Action != plan.Replace {
			continue
		}
		s := cluster.Sent{Object: obj}
		for _, f := range c.Fields {
			if f.After == nil && f.Before != nil {
				s.Removed = append(s.Removed, f)
			}
		}
		sent = append(sent, s)
		known[c.Ref] = c.Lost
	}
	lost, err := cluster.Verify(ctx, r.target.Cluster, sent)
	secrets := object.SecretValues(p.Prepared.Set)
	for i, fields := range lost {
		ref := sent[i].Object.Ref()
		for _, f := range fields {
			f.Before, f.After = object.HideIn(f.Before, secrets), object.HideIn(f.After, secrets)
			rel.Lost = append(rel.Lost, release.Lost{Ref: ref, Field: f})
			if !contains(known[ref], f) {
				r.target.say(Verify, &ref, "warning: %s", plan.LostText(f))
			}
		}
	}
	if err != nil {
		r.target.say(Verify, nil, "warning: the result was not verified: %v", err)
	}
}

func contains(fields []object.Field, f object.Field) bool {
	for _, k := range fields {
		if k.Path == f.Path {
			return true
		}
	}
	return false
}
