package deploy

import (
	"context"
	"errors"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/rollout"
)

// nameHold completes a *rollout.StillThereError: it names where the finalizers come from that hold the
// object.
func nameHold(ctx context.Context, t Target, p Proposal, err error) {
	still, ok := errors.AsType[*rollout.StillThereError](err)
	if !ok || still.Held == "" {
		return
	}
	if held := heldBy(ctx, t, p, still.Refs[0]); held != "" {
		still.Held = held
	}
}

// heldBy names the finalizers that hold an object, and where each comes from; empty where none holds it, or
// where it cannot be read.
func heldBy(ctx context.Context, t Target, p Proposal, ref object.Ref) string {
	live, err := cluster.ReadLive(ctx, t.Cluster, ref)
	if err != nil {
		return ""
	}
	manifest, ok := p.objects.Get(ref)
	if !ok {
		manifest, _ = p.Latest.Objects.Get(ref)
	}
	return plan.HeldBy(live.Object, live.Holders(), manifest)
}
