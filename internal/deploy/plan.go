package deploy

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/plan"
	"slipway/internal/release"
)

// Proposal is a plan together with what it was made from.
type Proposal struct {
	Prepared Prepared
	Plan     plan.Plan
	// Latest is the release that the plan starts from; the zero value when there is none.
	Latest release.Release
}

// Done says that nothing is left to do: nothing changes, and the last release that says so is healthy.
func (p Proposal) Done() bool {
	return p.Plan.Empty() && p.Plan.Complete && p.Latest.Status == release.Healthy
}

// Plan compares what is prepared with the cluster. It writes nothing.
func Plan(ctx context.Context, t Target, p Prepared) (Proposal, error) {
	latest, err := t.latest(ctx)
	if err != nil {
		return Proposal{}, err
	}
	if p.Set, err = t.Cluster.Place(ctx, p.Set); err != nil {
		return Proposal{}, err
	}
	observed, err := t.Cluster.Observe(ctx, p.Set, latest.Owned)
	if err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	made := plan.Make(plan.Input{
		Environment: t.Environment.Name, Commit: p.Commit, Base: latest.Digest,
		Desired: p.Set, Observed: observed, Owned: latest.Owned,
	})
	return Proposal{Prepared: p, Plan: made, Latest: latest}, nil
}

// unchanged makes the plan once more, under the lock: what was consented to is what is done.
func (t Target) unchanged(ctx context.Context, p Proposal) error {
	now, err := Plan(ctx, t, p.Prepared)
	if err != nil {
		return err
	}
	if now.Latest.Revision != p.Latest.Revision {
		return fmt.Errorf("%w: release %d of %s came in between", plan.ErrStale, now.Latest.Revision, t.Environment.Name)
	}
	if !now.Plan.Equal(p.Plan) {
		return fmt.Errorf("%w: objects of %s were changed since", plan.ErrStale, t.Environment.Name)
	}
	return nil
}

func isNone(err error) bool { return errors.Is(err, release.ErrNone) }
