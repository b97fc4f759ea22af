package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/release"
)

// apply carries out a proposal. A newer commit that can be deployed ends it, whatever it waits for, and
// apply fails with a *deploy.SupersededError.
func (e *environment) apply(ctx context.Context, p deploy.Proposal) (release.Release, error) {
	type result struct {
		release release.Release
		err     error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan result, 1)
	e.recalled = false
	go func() {
		rel, err := deploy.Apply(ctx, e.target, p, e.options())
		done <- result{rel, err}
	}()
	for {
		select {
		case r := <-done:
			if r.err == nil {
				e.past, e.recalled = e.past.Then(r.release), true
				e.own, e.judged = r.release.Revision, time.Now()
			}
			return r.release, r.err
		case commit := <-e.wake:
			e.wanted = commit
			supersedes, err := e.supersedes(ctx, commit, p)
			if supersedes {
				e.log.Info("commit "+short(commit)+" supersedes the deploy that runs", "commit", commit)
				cancel(&deploy.SupersededError{Commit: commit})
			} else if err != nil && ctx.Err() == nil {
				e.log.Warn("the deploy that runs goes on: "+err.Error(), "commit", commit)
			}
		}
	}
}

// errSideways says that a commit does not build on the one that is being deployed.
var errSideways = errors.New("it does not contain the commit that is being deployed")

// supersedes reads a newer commit, and says whether it is to be deployed at once. One that cannot be
// deployed, or that has the same objects, is looked at when the deploy that runs has ended.
func (e *environment) supersedes(ctx context.Context, commit string, running deploy.Proposal) (bool, error) {
	next, err := e.prepare(ctx, commit)
	if err != nil {
		return false, err
	}
	if e.next != nil {
		e.next.remove()
	}
	e.next = next
	if e.policy.OnCommit == Ask || !opening(e.policy.Windows, e.now()).IsZero() {
		return false, nil
	}
	lost, err := e.mirror.loses(ctx, e.commit, next.target.Source)
	switch {
	case err != nil:
		return false, err
	case lost:
		return false, fmt.Errorf("commit %s: %w", short(commit), errSideways)
	}
	p, err := deploy.Propose(ctx, next.target, deploy.ProposeOptions{
		OnlyHere: true, TakeOver: e.policy.TakeOver,
	})
	if err != nil {
		return false, fmt.Errorf("commit %s cannot be deployed: %w", short(commit), err)
	}
	return p.Prepared.Set.Digest() != running.Prepared.Set.Digest(), nil
}
