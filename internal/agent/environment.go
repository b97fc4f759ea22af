package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
)

// who is the agent in records.
const who = "slipway agent"

// environment is one environment that the agent keeps.
type environment struct {
	name   string
	policy Environment
	mirror *mirror
	agent  *Agent
	log    *slog.Logger
	wake   chan string // the newest commit; holds the last one

	// The goroutine of the environment alone uses these.
	commit   string // that target is of
	seen     time.Time
	target   deploy.Target
	remove   func()
	settled  string // the commit that needs no further look
	failures int
	repairs  map[string][]time.Time // of each field
	reported string                 // the drift that was logged last
	badSince time.Time              // of the release that runs; zero: it is healthy

	mu     sync.Mutex
	status Status
}

// Status returns how the environment stands.
func (e *environment) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

func (e *environment) update(change func(*Status)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.status)
}

// judge records a verdict on the newest commit, and says it once.
func (e *environment) judge(v Verdict, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	is := e.Status()
	if is.Verdict == v && is.Message == message {
		return
	}
	e.update(func(s *Status) { s.Verdict, s.Message = v, message })
	e.agent.counters.update(func(c *counters) { c.verdicts[[2]string{e.name, string(v)}]++ })
	e.log.Info(message, "verdict", v, "commit", e.commit)
}

// keep makes passes until the context ends: at each new commit, and at each interval.
func (e *environment) keep(ctx context.Context) {
	defer func() {
		if e.remove != nil {
			e.remove()
		}
	}()
	for {
		wait := time.NewTimer(backoff(e.mirror.Interval, e.failures))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case commit := <-e.wake:
			wait.Stop()
			if err := e.read(ctx, commit); err != nil {
				e.note(ctx, fmt.Errorf("read commit %s: %w", short(commit), err))
				continue
			}
		case <-wait.C:
		}
		if e.commit != "" {
			e.note(ctx, e.pass(ctx))
		}
	}
}

// note records the error of a pass; nil: it went well.
func (e *environment) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	before := e.Status().Error
	e.update(func(s *Status) {
		s.Checked = time.Now().UTC()
		switch {
		case err == nil:
			s.Error, s.ErrorSince = "", time.Time{}
		case s.Error == "":
			s.ErrorSince = s.Checked
			fallthrough
		default:
			s.Error = err.Error()
		}
	})
	if err == nil {
		e.failures = 0
		return
	}
	e.failures++
	if err.Error() != before {
		e.log.Error(err.Error(), "commit", e.commit)
	}
}

// read prepares a commit to be deployed. What the pass before it used is kept where that fails.
func (e *environment) read(ctx context.Context, commit string) error {
	e.update(func(s *Status) { s.Seen = commit })
	src, remove, err := e.mirror.at(ctx, commit)
	if err != nil {
		return err
	}
	t, err := e.connect(src)
	if err != nil {
		remove()
		return err
	}
	if e.remove != nil {
		e.remove()
	}
	e.commit, e.seen, e.target, e.remove, e.failures = commit, time.Now(), t, remove, 0
	return nil
}

func (e *environment) connect(src project.Source) (deploy.Target, error) {
	env, err := src.Project.Environment(e.name)
	if err != nil {
		return deploy.Target{}, err
	}
	o := e.agent.options.Connect
	o.Context = e.policy.Context
	t, err := deploy.Connect(src, env, o)
	t.Render = e.agent.options.Render
	t.Notify = func(ev deploy.Event) { e.log.Debug(ev.Message, "step", ev.Step) }
	return t, err
}

// pass looks at the newest commit, and then at the cluster.
func (e *environment) pass(ctx context.Context) error {
	if err := e.follow(ctx); err != nil {
		return err
	}
	if rolledBack, err := e.watch(ctx); err != nil || rolledBack {
		return err
	}
	return e.guard(ctx)
}

// follow deploys the newest commit, or says why not.
func (e *environment) follow(ctx context.Context) error {
	if e.settled == e.commit {
		return nil
	}
	p, err := deploy.Propose(ctx, e.target, deploy.ProposeOptions{})
	var held *deploy.QuarantinedError
	switch {
	case errors.As(err, &held):
		return e.hold(ctx, held.Release)
	case err != nil:
		e.judge(Refused, "commit %s cannot be deployed", short(e.commit))
		return err
	}
	digest := p.Prepared.Set.Digest()
	switch latest := p.Latest; {
	case p.Done(), latest.Status == release.Healthy && latest.Digest == digest:
		e.settled = e.commit
		e.update(func(s *Status) { s.Applied, s.Release = e.commit, latest.Revision })
		e.judge(Synced, "commit %s is release %d", short(e.commit), latest.Revision)
		return nil
	case e.policy.OnCommit == Ask:
		e.judge(Waiting, "commit %s waits for `slipway deploy %s`", short(e.commit), e.name)
		return nil
	}
	if err := errors.Join(p.Blocked(), e.onward(ctx, p)); err != nil {
		e.judge(Refused, "commit %s cannot be deployed", short(e.commit))
		return err
	}
	e.judge(Deploying, "deploying commit %s", short(e.commit))
	rel, err := deploy.Apply(ctx, e.target, p, deploy.Options{Who: who})
	var failed *deploy.FailedError
	switch {
	case errors.As(err, &failed):
		return e.condemn(ctx, failed)
	case errors.Is(err, plan.ErrStale):
		return nil // somebody changed the cluster meanwhile: the next pass makes a new plan
	case err != nil:
		return err
	}
	e.agent.counters.update(func(c *counters) { c.healthy[e.name] = time.Since(e.seen) })
	e.settled = e.commit
	e.update(func(s *Status) { s.Applied, s.Release = rel.Commit, rel.Revision })
	e.judge(Synced, "commit %s is release %d, healthy after %.1f s", short(e.commit), rel.Revision,
		rel.Finished.Sub(rel.Started).Seconds())
	return nil
}

// onward refuses a commit that does not build on the one that runs, or on the one that was looked at last:
// the branch was rewritten, or somebody deployed another one.
func (e *environment) onward(ctx context.Context, p deploy.Proposal) error {
	switch d := p.Prepared.Direction; {
	case d.Unknown != "":
		return fmt.Errorf("whether this goes back is unknown: %s: deploy it by hand if it is right", d.Unknown)
	case d.Back != nil:
		return d.Back
	case e.settled == "":
		return nil
	}
	_, lost, err := e.mirror.repository.Between(ctx, e.settled, e.commit)
	if err == nil && lost > 0 {
		err = fmt.Errorf("the history of %s was rewritten: commit %s does not contain %s, which was there before: "+
			"run `slipway deploy %s` at that commit if it is right", e.mirror.Branch, short(e.commit),
			short(e.settled), e.name)
	}
	return err
}

// condemn quarantines what a failed release wanted. Deploy has gone back already where it could.
func (e *environment) condemn(ctx context.Context, failed *deploy.FailedError) error {
	rel, err := e.target.Records().Hold(ctx, failed.Release.Revision, failed.Release.Failure)
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", failed.Release.Revision, err)
	}
	if failed.RollbackErr != nil {
		e.log.Error("not rolled back: "+failed.RollbackErr.Error(), "release", rel.Revision)
	}
	return e.hold(ctx, rel)
}

// hold keeps a commit back whose objects were bad, and reverts it on its branch where the policy says so.
func (e *environment) hold(ctx context.Context, rel release.Release) error {
	e.judge(Quarantined, "commit %s is held back: its objects are release %d, which is in quarantine: %s",
		short(e.commit), rel.Revision, rel.Quarantine.Reason)
	past, err := e.target.Records().Past(ctx)
	if err != nil {
		return err
	}
	e.update(func(s *Status) { s.Applied, s.Release = past.Latest.Commit, past.Latest.Revision })
	if e.policy.WriteBack == Push {
		if err := e.revert(ctx, rel, past); err != nil {
			return fmt.Errorf("revert commit %s: %w", short(e.commit), err)
		}
	}
	e.settled = e.commit
	return nil
}

func short(commit string) string { return commit[:min(len(commit), 7)] }
