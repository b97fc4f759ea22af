package deploy

import (
	"context"
	"fmt"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// act applies stage by stage, watches, and deletes what is no longer wanted only once the new
// objects are healthy: until then old pods may still need it.
func (t Target) act(ctx context.Context, p Proposal, o Options, rel *release.Release) error {
	var deletes []plan.Change
	var applied []object.Object // in this stage
	stage := -1
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Delete {
			deletes = append(deletes, c)
			continue
		}
		if c.Stage != stage {
			if err := rollout.WaitServed(ctx, t.Cluster, applied...); err != nil {
				return err
			}
			stage, applied = c.Stage, nil
		}
		if c.Action != plan.Create && c.Action != plan.Update && c.Action != plan.Replace {
			continue
		}
		obj, err := t.applyOne(ctx, c, p)
		if err != nil {
			return err
		}
		applied = append(applied, obj)
		rel.Applied = append(rel.Applied, c.Ref)
	}
	if err := t.watch(ctx, p, o); err != nil {
		return err
	}
	if err := t.prune(ctx, deletes, p, o, rel); err != nil {
		return &leftoverError{err}
	}
	return nil
}

// leftoverError says that all that is wanted is healthy, and that something old is still there.
type leftoverError struct{ err error }

func (e *leftoverError) Error() string { return e.err.Error() }
func (e *leftoverError) Unwrap() error { return e.err }

func (t Target) applyOne(ctx context.Context, c plan.Change, p Proposal) (object.Object, error) {
	obj, ok := p.objects.Get(c.Ref)
	if !ok {
		return obj, fmt.Errorf("apply %s: the plan names an object that is not in the set", c.Ref)
	}
	if err := t.mayWrite(ctx); err != nil {
		return obj, err
	}
	if c.Action == plan.Replace {
		if err := t.Cluster.Delete(ctx, c.Ref, p.uids[c.Ref]); err != nil {
			return obj, err
		}
		if err := rollout.WaitGone(ctx, t.Cluster, []object.Ref{c.Ref}, 0); err != nil {
			return obj, err
		}
	}
	if err := t.Cluster.Apply(ctx, obj, p.force); err != nil {
		return obj, err
	}
	t.say(Act, &c.Ref, "%sd", c.Action)
	return obj, nil
}

func (t Target) prune(ctx context.Context, deletes []plan.Change, p Proposal, o Options,
	rel *release.Release) error {
	var gone []object.Ref
	for _, c := range deletes {
		if err := t.mayWrite(ctx); err != nil {
			return err
		}
		if err := t.Cluster.Delete(ctx, c.Ref, p.uids[c.Ref]); err != nil {
			return err
		}
		t.say(Prune, &c.Ref, "deleted")
		gone = append(gone, c.Ref)
		rel.Applied = append(rel.Applied, c.Ref)
	}
	if err := rollout.WaitGone(ctx, t.Cluster, gone, o.Timeout); err != nil {
		return fmt.Errorf("wait until what was deleted is gone: %w", err)
	}
	return nil
}
