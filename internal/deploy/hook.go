package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// operationOf returns what a deploy does: it is an install until a release has been healthy, since the last
// deletion.
func operationOf(p Prepared, past release.Past) plan.Operation {
	switch {
	case p.Delete:
		return plan.Uninstall
	case p.Revert:
		return plan.Revert
	case p.RollbackOf > 0:
		return plan.GoBack
	}
	for _, rel := range append([]release.Release{past.Latest}, past.Here()...) {
		switch rel.Status {
		case release.Healthy:
			return plan.Upgrade
		case release.Deleted:
			return plan.Install
		}
	}
	return plan.Install
}

// deleteHooks returns the hooks of a set that run at a deletion.
func deleteHooks(set object.Set) (object.Set, error) {
	var hooks object.Set
	hooks.Conceal(set.Concealed())
	for _, o := range set.Objects() {
		s, err := o.Schedule()
		if err != nil {
			return hooks, err
		}
		if s.Hook == nil || !slices.Contains(s.Hook.Events, object.PreDelete) &&
			!slices.Contains(s.Hook.Events, object.PostDelete) {
			continue
		}
		if err := hooks.Add(o); err != nil {
			return hooks, err
		}
	}
	return hooks, nil
}

// startHook applies a hook. The run before it is deleted, unless it is the same one, which an interrupted
// deploy has left running: that one is taken up.
func startHook(ctx context.Context, r run, c plan.Change, p Proposal) (object.Object, error) {
	obj, ok := p.objects.Get(c.Ref)
	if !ok {
		return obj, fmt.Errorf("run %s: the plan names an object that is not in the set", c.Ref)
	}
	if err := r.mayWrite(ctx); err != nil {
		return obj, err
	}
	if !c.Ref.RunsOnce() {
		if err := r.target.Cluster.Apply(ctx, obj, p.force); err != nil {
			return obj, err
		}
		r.target.say(Act, &c.Ref, "applied")
		return obj, nil
	}
	live, found, err := r.target.Cluster.Get(ctx, c.Ref)
	if err != nil {
		return obj, r.target.Cluster.Explain(ctx, "get", c.Ref, err)
	}
	if found {
		if !p.owns(live) {
			return obj, fmt.Errorf("run %s: an object of another owner has taken its name", c.Ref)
		}
		seen, ok := p.seen(c.Ref)
		uid, _ := live.At("metadata", "uid").(string)
		if plan.IsRunning(live) && ok && uid == p.uids[c.Ref] && plan.IsSameRun(seen) {
			r.target.say(Act, &c.Ref, "is still running: continuing with it")
			return obj, nil
		}
		if err := awaitEnd(ctx, r, live); err != nil {
			return obj, err
		}
		if err := makeWay(ctx, r, c.Ref, uid); err != nil {
			return obj, err
		}
	}
	if err := r.target.Cluster.Apply(ctx, obj, p.force); err != nil {
		return obj, err
	}
	r.target.say(Act, &c.Ref, "started")
	return obj, nil
}

// awaitEnd waits until a Job or Pod has ended, whether it succeeds or not.
func awaitEnd(ctx context.Context, r run, live object.Object) error {
	if !plan.IsRunning(live) {
		return nil
	}
	ref := live.Ref()
	r.target.say(Watch, &ref, "of an earlier deploy is still running: waiting until it ends")
	var set object.Set
	if err := set.Add(live); err != nil {
		return err
	}
	o := rollout.Options{Judge: r.target.Judge, Timeout: r.options.Timeout}
	err := rollout.Wait(ctx, r.target.Cluster, set, o)
	if sick := (*rollout.NotHealthyError)(nil); errors.As(err, &sick) && !sick.Timeout {
		return nil
	}
	return err
}

// sweepHooks deletes the hooks of an event as their annotations say. Failed is the stage that failed; 0 when
// all have succeeded.
func sweepHooks(ctx context.Context, r run, p Proposal, ran []plan.Change, failed int) error {
	for _, c := range slices.Backward(ran) {
		obj, _ := p.objects.Get(c.Ref)
		s, err := obj.Schedule()
		if err != nil || s.Hook == nil {
			continue
		}
		bad := failed > 0 && c.Stage == failed
		if !(bad && s.Hook.AfterFailure || !bad && (s.Hook.AfterSuccess || p.Prepared.Delete)) {
			continue
		}
		live, found, err := r.target.Cluster.Get(ctx, c.Ref)
		if err != nil {
			return r.target.Cluster.Explain(ctx, "get", c.Ref, err)
		}
		if !found || !p.owns(live) {
			continue
		}
		uid, _ := live.At("metadata", "uid").(string)
		if err := r.target.Cluster.Delete(ctx, c.Ref, uid); err != nil {
			return err
		}
		r.target.sayDone(Prune, c.Ref, plan.Delete)
	}
	return nil
}

// runFailureHooks runs the hooks of a failed deploy. What goes wrong is only said: the deploy has its cause
// of failure.
func runFailureHooks(ctx context.Context, r run, p Proposal, rel *release.Release) {
	for i, stage := range p.Plan.Stages {
		if stage.Event != object.OnFailure {
			continue
		}
		err := actStage(ctx, r, p, i+1, rel)
		failed := 0
		if err != nil {
			failed = i + 1
			r.target.warn(Act, nil, "stage %d: %s: %v", i+1, stage.Name, masked(err, p.Prepared.Set))
		}
		if err := sweepHooks(ctx, r, p, p.Plan.In(i+1), failed); err != nil {
			r.target.warn(Act, nil, "%v", err)
		}
		if failed > 0 {
			return
		}
	}
}
