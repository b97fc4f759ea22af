package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// UnstableError says that the release that runs was recorded as healthy, and is not healthy any more. The
// plan changes nothing.
type UnstableError struct {
	Environment string
	Release     release.Release
	// Cause is a *rollout.NotHealthyError, or what restarts again and again.
	Cause error
}

func (e *UnstableError) Error() string {
	return fmt.Sprintf("release %d of %s became healthy, but is not healthy any more: %v", e.Release.Revision,
		e.Environment, e.Cause)
}

func (e *UnstableError) Unwrap() error { return e.Cause }

// maxOutlive bounds how long Settle watches a container that restarted, beyond the settling time.
const maxOutlive = time.Minute

// Settle judges the objects of a proposal that changes nothing as a deploy judges those that it has changed.
// It returns at once where all are healthy and none restarted a short while ago; else it watches them, and
// fails with an *UnstableError where they do not become healthy. It writes nothing.
func Settle(ctx context.Context, t Target, p Proposal, o Options) error {
	if p.Unsettled == "" {
		return nil
	}
	t.say(Watch, nil,
		"release %d became healthy, but is not healthy any more: %s", p.Latest.Revision, p.Unsettled)
	settle := settleTime(run{target: t, options: o}) + outliving(ctx, t, p)
	err := watchUnchanged(ctx, t, p, o.Timeout, settle)
	var sick *rollout.NotHealthyError
	switch {
	case errors.As(err, &sick):
		list := evidenceOf(ctx, t, p, err)
		err = masked(err, p.Prepared.Set)
		t.emit(Event{Step: Failure, Message: err.Error(), Evidence: list})
	case err != nil:
		return err
	default:
		// A program that ends after a minute outlives each watch.
		if p.judge(ctx, t); p.Found == nil {
			return nil
		}
		err = errors.New(p.Found.Message)
	}
	return &UnstableError{Environment: t.Environment.Name, Release: p.Latest, Cause: err}
}

// outliving returns how long the containers that restarted must still run to have run for longer than before.
func outliving(ctx context.Context, t Target, p Proposal) time.Duration {
	var longest time.Duration
	restarts, _ := rollout.Restarts(ctx, t.Cluster, running(t, p), p.Latest.Finished, 0) // p says what is unseen
	for _, r := range restarts {
		longest = max(longest, r.Left)
	}
	return min(longest, maxOutlive)
}

// running returns the live objects of the latest release that a deploy waits for.
func running(t Target, p Proposal) []object.Object {
	var list []object.Object
	for _, o := range p.Observed {
		_, ours := p.Latest.Objects.Get(o.Ref)
		if ours && o.Live.Body != nil && t.Judge.Blocking(o.Live) && !o.Live.IsHook() && !o.Ref.IsExternal() {
			list = append(list, o.Live)
		}
	}
	return list
}

// watchUnchanged waits until the objects that the plan leaves alone are healthy.
func watchUnchanged(ctx context.Context, t Target, p Proposal, timeout, settle time.Duration) error {
	var watched object.Set
	for _, c := range p.Plan.Changes {
		obj, ok := p.objects.Get(c.Ref)
		if !ok || c.Action != plan.Keep || c.Reason != "" || obj.IsHook() {
			continue
		}
		if err := watched.Add(obj); err != nil {
			return err
		}
	}
	n := newNews(t, watched.Refs())
	stop := n.every(ctx, remindAfter/2)
	defer stop()
	return rollout.Wait(ctx, t.Cluster, watched, rollout.Options{
		Judge:   t.Judge,
		Timeout: timeout, Settle: settle, SettleAll: true, Unchanged: watched.Refs(), Notify: n.hear,
		Say: once(t, p.Unseen),
	})
}
