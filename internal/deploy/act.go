package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// act carries out stage by stage. A stage ends when its Jobs have completed and its objects are healthy. What
// left the source is deleted last: old pods need it until the new objects are healthy.
func act(ctx context.Context, r run, p Proposal, rel *release.Release) error {
	var due []plan.Change // hooks of the event that have run
	for i, stage := range p.Plan.Stages {
		n := i + 1
		if stage.Event == object.OnFailure {
			continue
		}
		changes := p.Plan.In(n)
		err := actStage(ctx, r, p, n, rel)
		for _, c := range changes {
			if c.Action == plan.Run {
				due = append(due, c)
			}
		}
		if err != nil {
			return errors.Join(err, sweepHooks(context.WithoutCancel(ctx), r, p, due, n))
		}
		if n == len(p.Plan.Stages) || p.Plan.Stages[n].Event != stage.Event {
			if err := sweepHooks(ctx, r, p, due, 0); err != nil {
				return &leftoverError{err}
			}
			due = nil
		}
	}
	verify(ctx, r, p, rel)
	return nil
}

// actStage carries out one stage, and waits for it.
func actStage(ctx context.Context, r run, p Proposal, n int, rel *release.Release) error {
	changes := p.Plan.In(n)
	if p.Plan.IsStaged() {
		r.target.say(Act, nil, "stage %d: %s", n, p.Plan.Stages[n-1].Name)
	}
	var deletes []plan.Change
	for _, c := range changes {
		if c.Action == plan.Delete {
			deletes = append(deletes, c)
		}
	}
	if len(deletes) > 0 {
		err := prune(ctx, r, deletes, p, rel)
		still, held := errors.AsType[*rollout.StillThereError](err)
		switch {
		case held && !p.Prepared.Delete && !deletes[0].First:
			// All that is desired is healthy. The rest goes when the owners of the finalizers let it go.
			r.target.say(Prune, nil, "warning: %v", err)
			rel.Kept, err = append(rel.Kept, still.Refs...), nil
		case err != nil && !deletes[0].First:
			return &leftoverError{err}
		}
		if err != nil {
			return err
		}
	}
	if len(deletes) == len(changes) {
		return nil
	}
	later, err := applyAll(ctx, r, p, changes, rel)
	for err == nil && len(later) > 0 {
		// The pods behind a webhook may be among the objects that this stage has just applied.
		if err := watch(ctx, r, p, n, later); err != nil {
			return err
		}
		before := len(later)
		if later, err = applyAll(ctx, r, p, refused(changes, later), rel); err == nil && len(later) == before {
			return later[0].err
		}
	}
	if err != nil {
		return err
	}
	return watch(ctx, r, p, n, nil)
}

// postponed is an object that a webhook did not answer for.
type postponed struct {
	ref object.Ref
	err error
}

func refused(changes []plan.Change, later []postponed) []plan.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c plan.Change) bool {
		return !slices.ContainsFunc(later, func(l postponed) bool { return l.ref == c.Ref })
	})
}

// applyAll applies the changes of a stage in their order. It returns those that a webhook of the set did not
// answer for.
func applyAll(
	ctx context.Context, r run, p Proposal, changes []plan.Change, rel *release.Release,
) (later []postponed, err error) {
	var ground []object.Object // definitions and namespaces, until they are served
	for _, c := range changes {
		if len(ground) > 0 && c.Ref.Kind != ground[0].Ref().Kind {
			if err := rollout.WaitServed(ctx, r.target.Cluster, ground...); err != nil {
				return nil, err
			}
			ground = nil
		}
		var obj object.Object
		switch c.Action {
		case plan.Create, plan.Update, plan.Replace:
			obj, err = applyOne(ctx, r, c, p)
		case plan.Run:
			obj, err = startHook(ctx, r, c, p)
		default:
			continue
		}
		if down := (*cluster.WebhookError)(nil); errors.As(err, &down) {
			r.target.say(Act, &c.Ref, "webhook %s does not answer yet", down.Webhook)
			later = append(later, postponed{c.Ref, err})
			continue
		}
		if err != nil {
			return nil, err
		}
		if k := c.Ref.Kind; k == "Namespace" || k == "CustomResourceDefinition" {
			ground = append(ground, obj)
		}
		if !slices.Contains(rel.Applied, c.Ref) {
			rel.Applied = append(rel.Applied, c.Ref)
		}
	}
	return later, rollout.WaitServed(ctx, r.target.Cluster, ground...)
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
		live, _, err := r.target.Cluster.Get(ctx, c.Ref)
		if err != nil {
			return obj, r.target.Cluster.Explain(ctx, "get", c.Ref, err)
		}
		if c.Ref.RunsOnce() {
			err = awaitEnd(ctx, r, live)
		}
		if err != nil {
			return obj, err
		}
		if err := clear(ctx, r, c.Ref, p.uids[c.Ref]); err != nil {
			return obj, err
		}
	}
	if err := readied(ctx, r, c, p, obj); err != nil {
		return obj, err
	}
	if err := r.target.Cluster.Apply(ctx, obj, p.force); err != nil {
		return obj, err
	}
	r.target.say(Act, &c.Ref, "%sd", c.Action)
	return obj, nil
}

// clear deletes an object that is to be created again, and waits until it is gone.
func clear(ctx context.Context, r run, ref object.Ref, uid string) error {
	remove := r.target.Cluster.Delete
	if plan.KeepsPods(ref) {
		remove = r.target.Cluster.DeleteAlone
	}
	if err := remove(ctx, ref, uid); err != nil {
		return err
	}
	return rollout.WaitGone(ctx, r.target.Cluster, []object.Ref{ref}, 0)
}

// readied prepares a live object for the apply: it makes the fields of other tools ours, and writes what an
// apply cannot.
func readied(ctx context.Context, r run, c plan.Change, p Proposal, obj object.Object) error {
	i := slices.IndexFunc(p.Observed, func(o plan.Observed) bool { return o.Ref == c.Ref })
	if i < 0 || c.Action != plan.Update {
		return nil
	}
	switch seen := p.Observed[i]; {
	case seen.Rewritten != "":
		return cluster.Rewrite(ctx, r.target.Cluster, obj, seen.Adopting)
	case len(seen.Claimed) > 0:
		return cluster.Claim(ctx, r.target.Cluster, obj, seen.Adopting)
	}
	return nil
}

func prune(
	ctx context.Context, r run, deletes []plan.Change, p Proposal, rel *release.Release,
) error {
	var gone []object.Ref
	var longest time.Duration
	for _, c := range deletes {
		if err := r.mayWrite(ctx); err != nil {
			return err
		}
		remove := r.target.Cluster.Delete
		if grace, runs := podGrace(p, c.Ref); c.First || runs && p.Prepared.Delete {
			remove, longest = r.target.Cluster.DeleteWhole, max(longest, grace)
		}
		if err := remove(ctx, c.Ref, p.uids[c.Ref]); err != nil {
			return err
		}
		r.target.say(Prune, &c.Ref, "deleted")
		gone = append(gone, c.Ref)
		rel.Applied = append(rel.Applied, c.Ref)
	}
	if p.Prepared.Delete && longest > 0 {
		r.target.say(Watch, nil, "waiting until their pods have ended")
	}
	timeout := cmp.Or(r.options.Timeout, max(minGone, longest+minGone/4))
	if err := rollout.WaitGone(ctx, r.target.Cluster, gone, timeout); err != nil {
		return fmt.Errorf("wait for deleted objects: %w", err)
	}
	return nil
}

// minGone is how long a deploy waits at least for deleted objects to be gone.
const minGone = 2 * time.Minute

// podGrace returns how long the pods of a live workload may take to end; false for what runs no pods.
func podGrace(p Proposal, ref object.Ref) (time.Duration, bool) {
	for _, o := range p.Observed {
		if spec, _, runs := o.Live.PodSpec(); o.Ref == ref && runs {
			seconds, _ := spec["terminationGracePeriodSeconds"].(int64)
			return time.Duration(seconds) * time.Second, true
		}
	}
	return 0, false
}
