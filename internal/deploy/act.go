package deploy

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// act applies stage by stage, watches, and then deletes what left the source: old pods need it until the new
// objects are healthy.
func act(ctx context.Context, r run, p Proposal, rel *release.Release) error {
	var deletes []plan.Change
	var applied []object.Object // in this stage
	stage := -1
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Delete {
			deletes = append(deletes, c)
			continue
		}
		if c.Stage != stage {
			if err := rollout.WaitServed(ctx, r.target.Cluster, applied...); err != nil {
				return err
			}
			stage, applied = c.Stage, nil
		}
		if c.Action != plan.Create && c.Action != plan.Update && c.Action != plan.Replace {
			continue
		}
		obj, err := applyOne(ctx, r, c, p)
		if err != nil {
			return err
		}
		applied = append(applied, obj)
		rel.Applied = append(rel.Applied, c.Ref)
	}
	if err := watch(ctx, r, p); err != nil {
		return err
	}
	if err := prune(ctx, r, deletes, p, rel); err != nil {
		return &leftoverError{err}
	}
	return nil
}

// leftoverError says that all desired objects are healthy, and an old one still exists.
type leftoverError struct{ err error }

func (e *leftoverError) Error() string { return e.err.Error() }
func (e *leftoverError) Unwrap() error { return e.err }

func applyOne(ctx context.Context, r run, c plan.Change, p Proposal) (object.Object, error) {
	obj, ok := p.objects.Get(c.Ref)
	if !ok {
		return obj, fmt.Errorf("apply %s: the plan names an object that is not in the set", c.Ref)
	}
	if err := r.mayWrite(ctx); err != nil {
		return obj, err
	}
	if c.Action == plan.Replace {
		if err := r.target.Cluster.Delete(ctx, c.Ref, p.uids[c.Ref]); err != nil {
			return obj, err
		}
		if err := rollout.WaitGone(ctx, r.target.Cluster, []object.Ref{c.Ref}, 0); err != nil {
			return obj, err
		}
	}
	i := slices.IndexFunc(p.Observed, func(o plan.Observed) bool { return o.Ref == c.Ref })
	if i >= 0 && len(p.Observed[i].Claimed) > 0 && c.Action == plan.Update {
		if err := cluster.Claim(ctx, r.target.Cluster, obj, p.Observed[i].Adopting); err != nil {
			return obj, err
		}
	}
	if err := r.target.Cluster.Apply(ctx, obj, p.force); err != nil {
		return obj, err
	}
	r.target.say(Act, &c.Ref, "%sd", c.Action)
	return obj, nil
}

func prune(
	ctx context.Context, r run, deletes []plan.Change, p Proposal, rel *release.Release,
) error {
	var gone []object.Ref
	for _, c := range deletes {
		if err := r.mayWrite(ctx); err != nil {
			return err
		}
		if err := r.target.Cluster.Delete(ctx, c.Ref, p.uids[c.Ref]); err != nil {
			return err
		}
		r.target.say(Prune, &c.Ref, "deleted")
		gone = append(gone, c.Ref)
		rel.Applied = append(rel.Applied, c.Ref)
	}
	if err := rollout.WaitGone(ctx, r.target.Cluster, gone, r.options.Timeout); err != nil {
		return fmt.Errorf("wait for deleted objects: %w", err)
	}
	return nil
}
