package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	probed := false
	for i, stage := range p.Plan.Stages {
		n := i + 1
		if stage.Event == object.OnFailure {
			continue
		}
		changes := p.Plan.In(n)
		if !probed && isLast(changes) {
			probed = true
			if err := probeRelease(ctx, r, p); err != nil {
				return err
			}
		}
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
	if !probed {
		if err := probeRelease(ctx, r, p); err != nil {
			return err
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
		if err := pruneStage(ctx, r, p, deletes, rel); err != nil {
			return err
		}
	}
	if len(deletes) == len(changes) {
		return nil
	}
	if err := applyStage(ctx, r, p, n, rel); err != nil {
		return err
	}
	promoteRollouts(ctx, r, p, changes)
	return watch(ctx, r, p, n, nil)
}

// pruneStage deletes objects that left the source. Where all that is desired is healthy, an object that its
// finalizers hold goes when their owners let it go, and other errors do not make the release fail.
func pruneStage(ctx context.Context, r run, p Proposal, deletes []plan.Change, rel *release.Release) error {
	err := prune(ctx, r, deletes, p, rel)
	still, held := errors.AsType[*rollout.StillThereError](err)
	switch isLast := !deletes[0].First; {
	case held && isLast && !p.Prepared.Delete:
		r.target.warn(Prune, nil, "%v", err)
		rel.Kept = append(rel.Kept, still.Refs...)
		return nil
	case err != nil && isLast:
		return &leftoverError{err}
	}
	return err
}

// applyStage applies the changes of a stage. The pods behind a webhook may be among them: objects that it did
// not answer for are applied again once the others are healthy.
func applyStage(ctx context.Context, r run, p Proposal, n int, rel *release.Release) error {
	changes := p.Plan.In(n)
	later, err := applyAll(ctx, r, p, changes, rel)
	for err == nil && len(later) > 0 {
		if err := watch(ctx, r, p, n, later); err != nil {
			return err
		}
		before := len(later)
		if later, err = applyAll(ctx, r, p, only(changes, later), rel); err == nil && len(later) == before {
			return later[0].err
		}
	}
	return err
}

// postponed is an object that a webhook did not answer for.
type postponed struct {
	ref object.Ref
	err error
}

// only returns the changes of the postponed objects.
func only(changes []plan.Change, later []postponed) []plan.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c plan.Change) bool {
		return !slices.ContainsFunc(later, func(l postponed) bool { return l.ref == c.Ref })
	})
}

// applyAll applies the changes of a stage in their order, those of one kind at once. It returns those that a
// webhook of the set did not answer for.
func applyAll(
	ctx context.Context, r run, p Proposal, changes []plan.Change, rel *release.Release,
) (later []postponed, err error) {
	var unserved []object.Object // definitions and namespaces
	for _, batch := range batches(changes) {
		if len(unserved) > 0 && batch[0].Ref.Kind != unserved[0].Ref().Kind {
			if err := rollout.WaitServed(ctx, r.target.Cluster, unserved...); err != nil {
				return nil, err
			}
			unserved = nil
		}
		for i, done := range applyBatch(ctx, r, batch, p) {
			c := batch[i]
			down := (*cluster.WebhookError)(nil)
			switch {
			case errors.As(done.err, &down):
				r.target.say(Act, &c.Ref, "webhook %s does not answer yet", down.Webhook)
				later = append(later, postponed{c.Ref, done.err})
				continue
			case done.err != nil && err == nil:
				err = done.err
			}
			if !done.ok {
				continue
			}
			if k := c.Ref.Kind; k == "Namespace" || k == "CustomResourceDefinition" {
				unserved = append(unserved, done.object)
			}
			if c.Action != plan.Run || !slices.Contains(rel.Applied, c.Ref) {
				rel.Applied = append(rel.Applied, c.Ref)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return later, rollout.WaitServed(ctx, r.target.Cluster, unserved...)
}

// batches splits the changes that are applied: those of one kind that follow each other may be applied at
// once. A hook, and an object that is deleted first, is one by itself.
func batches(changes []plan.Change) [][]plan.Change {
	isSingle := func(c plan.Change) bool { return c.Action == plan.Replace || c.Action == plan.Run }
	isLeft := func(c plan.Change) bool {
		return c.Action != plan.Create && c.Action != plan.Update && !isSingle(c)
	}
	if slices.ContainsFunc(changes, isLeft) { // else thousands of changes are not held twice
		changes = slices.DeleteFunc(slices.Clone(changes), isLeft)
	}
	var all [][]plan.Change
	begin := 0
	for i, c := range changes {
		end := i + 1
		if end == len(changes) || isSingle(c) || isSingle(changes[end]) || changes[end].Ref.Kind != c.Ref.Kind {
			all = append(all, changes[begin:end])
			begin = end
		}
	}
	return all
}

// applied is the result of one apply. It has neither ok nor an error when an earlier error prevented it.
type applied struct {
	object object.Object
	ok     bool
	err    error
}

// applyBatch applies changes at once. After an error it begins no other one; a webhook that does not answer
// concerns only one object.
func applyBatch(ctx context.Context, r run, batch []plan.Change, p Proposal) []applied {
	done := make([]applied, len(batch))
	var failed atomic.Bool
	var mu sync.Mutex
	next := 0 // the first whose end was not told: in order, whichever ends first
	ended := make([]bool, len(batch))
	cluster.Each(len(batch), func(i int) {
		if !failed.Load() {
			obj, err := applyChange(ctx, r, batch[i], p)
			done[i] = applied{obj, err == nil, err}
			if err != nil && !errors.As(err, new(*cluster.WebhookError)) {
				failed.Store(true)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for ended[i] = true; next < len(batch) && ended[next]; next++ {
			if c := batch[next]; done[next].ok && c.Action != plan.Run {
				r.target.sayDone(Act, c.Ref, c.Action)
			}
		}
	})
	return done
}

func applyChange(ctx context.Context, r run, c plan.Change, p Proposal) (object.Object, error) {
	if c.Action == plan.Run {
		return startHook(ctx, r, c, p)
	}
	return applyOne(ctx, r, c, p)
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
		if err := makeWay(ctx, r, c.Ref, p.uids[c.Ref]); err != nil {
			nameHold(ctx, r.target, p, err)
			return obj, err
		}
	}
	if err := prepareLive(ctx, r, c, p, obj); err != nil {
		return obj, err
	}
	return obj, r.target.Cluster.Apply(ctx, obj, p.force)
}

// makeWay deletes an object that is to be created again, and waits until it is gone.
func makeWay(ctx context.Context, r run, ref object.Ref, uid string) error {
	remove := r.target.Cluster.Delete
	if plan.KeepsPods(ref) {
		remove = r.target.Cluster.DeleteAlone
	}
	if err := remove(ctx, ref, uid); err != nil {
		return err
	}
	_, err := rollout.WaitGone(ctx, r.target.Cluster, []object.Ref{ref}, nil, 0)
	return err
}

// prepareLive prepares a live object for the apply: it makes the fields of other tools ours, and writes what
// an apply cannot.
func prepareLive(ctx context.Context, r run, c plan.Change, p Proposal, obj object.Object) error {
	seen, ok := p.seen(c.Ref)
	if !ok || c.Action != plan.Update {
		return nil
	}
	switch {
	case seen.Rewritten != "":
		return cluster.Rewrite(ctx, r.target.Cluster, obj, seen.Adopting)
	case len(seen.Claimed) > 0:
		return cluster.Claim(ctx, r.target.Cluster, obj, seen.Adopting)
	}
	return nil
}

// prune deletes objects in their order, those of one kind at once, and waits until they are gone.
func prune(
	ctx context.Context, r run, deletes []plan.Change, p Proposal, rel *release.Release,
) error {
	var gone []object.Ref
	var longest time.Duration
	for len(deletes) > 0 {
		batch := deletes
		kind := batch[0].Ref.Kind
		if i := slices.IndexFunc(batch, func(c plan.Change) bool { return c.Ref.Kind != kind }); i > 0 {
			batch = batch[:i]
		}
		deletes = deletes[len(batch):]
		errs, graces := make([]error, len(batch)), make([]time.Duration, len(batch))
		cluster.Each(len(batch), func(i int) { graces[i], errs[i] = deleteOne(ctx, r, batch[i], p) })
		for i, c := range batch {
			if errs[i] != nil {
				continue
			}
			longest = max(longest, graces[i])
			r.target.sayDone(Prune, c.Ref, plan.Delete)
			gone = append(gone, c.Ref)
			rel.Applied = append(rel.Applied, c.Ref)
		}
		if err := cmp.Or(errs...); err != nil {
			return err
		}
	}
	if p.Prepared.Delete && longest > 0 {
		r.target.say(Watch, nil, "waiting until their pods have ended")
	}
	timeout := cmp.Or(r.options.Timeout, max(minGone, longest+minGone/4))
	remade, err := rollout.WaitGone(ctx, r.target.Cluster, gone, p.uids, timeout)
	for _, ref := range remade {
		r.target.warn(Prune, &ref, "a controller has made it again since")
	}
	if err != nil {
		nameHold(ctx, r.target, p, err)
		return fmt.Errorf("wait for deleted objects: %w", err)
	}
	return nil
}

// minGone is how long a deploy waits at least for deleted objects to be gone.
const minGone = 2 * time.Minute

// deleteOne deletes an object, and returns how long its pods may take to end where it waits for them.
func deleteOne(ctx context.Context, r run, c plan.Change, p Proposal) (time.Duration, error) {
	if err := r.mayWrite(ctx); err != nil {
		return 0, err
	}
	if grace, runs := podGrace(p, c.Ref); c.First || runs && p.Prepared.Delete {
		return grace, r.target.Cluster.DeleteWhole(ctx, c.Ref, p.uids[c.Ref])
	}
	return 0, r.target.Cluster.Delete(ctx, c.Ref, p.uids[c.Ref])
}

// podGrace returns how long the pods of a live workload may take to end; false for what runs no pods.
func podGrace(p Proposal, ref object.Ref) (time.Duration, bool) {
	seen, _ := p.seen(ref)
	spec, _, runs := seen.Live.PodSpec()
	if !runs {
		return 0, false
	}
	seconds, _ := spec["terminationGracePeriodSeconds"].(int64)
	return time.Duration(seconds) * time.Second, true
}
