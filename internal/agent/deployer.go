package agent

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/deploy"
	"slipway/internal/release"
)

// deployer carries out proposals, and gives one up for a newer commit.
type deployer struct {
	*state
	incoming *incoming
}

// apply carries out a proposal. A newer commit that can be deployed ends it, whatever it waits for, and
// apply fails with a *deploy.SupersededError.
func (d *deployer) apply(ctx context.Context, p deploy.Proposal) (release.Release, error) {
	type result struct {
		release release.Release
		err     error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan result, 1)
	d.recalled = false // a deploy writes records
	options := d.options()
	options.Once = true
	go func() {
		rel, err := deploy.Apply(ctx, d.target, p, options)
		done <- result{rel, err}
	}()
	for {
		select {
		case r := <-done:
			if r.err == nil {
				d.noteDeployed(r.release)
			}
			return r.release, r.err
		case commit := <-d.incoming.wake:
			d.incoming.wanted = commit
			supersedes, err := d.supersedes(ctx, commit, p)
			if supersedes {
				d.log.Info("commit "+short(commit)+" supersedes the running deploy", "commit", commit)
				cancel(&deploy.SupersededError{Commit: commit})
			} else if err != nil && ctx.Err() == nil {
				d.log.Warn("the running deploy continues: "+err.Error(), "commit", commit)
			}
		}
	}
}

// errSideways says that a commit does not build on the one that is being deployed.
var errSideways = errors.New("it does not contain the commit that is being deployed")

// supersedes reads a newer commit, and says whether it is to be deployed at once. One that cannot be
// deployed, or that has the same objects, is looked at when the deploy that runs has ended.
func (d *deployer) supersedes(ctx context.Context, commit string, running deploy.Proposal) (bool, error) {
	next, err := d.incoming.prepare(ctx, commit)
	if err != nil {
		return false, err
	}
	d.incoming.replaceNext(next)
	if d.policy.OnCommit == Ask || !opening(d.policy.Windows, d.now()).IsZero() {
		return false, nil
	}
	lost, err := d.mirror.loses(ctx, d.commit, next.target.Source)
	switch {
	case err != nil:
		return false, err
	case lost:
		return false, fmt.Errorf("commit %s: %w", short(commit), errSideways)
	}
	p, err := deploy.Propose(ctx, next.target, deploy.ProposeOptions{
		OnlyHere: true, Permits: deploy.Permits{TakeOver: d.policy.TakeOver},
	})
	if err != nil {
		return false, fmt.Errorf("commit %s cannot be deployed: %w", short(commit), err)
	}
	return p.Prepared.Set.Digest() != running.Prepared.Set.Digest(), nil
}
