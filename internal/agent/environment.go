package agent

import (
	"cmp"
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
	"slipway/internal/render/tree"
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
	events chan event

	// The goroutine of the environment alone uses these.
	commit   string // that target is of
	seen     time.Time
	target   deploy.Target
	remove   func()
	files    *snapshot    // of commit
	reads    *[]tree.Read // what the last render of target looked at
	key      string       // of these reads in the commit that runs; empty: a later commit is rendered anyway
	wanted   string       // a newer commit that was not read yet
	next     *reading     // a newer commit that was read while a deploy ran
	settled  string       // the last commit that was deployed, held, or found to run
	looked   bool         // the commit needs no further look
	holder   int          // the release in quarantine that keeps the commit back; 0: none
	failures int
	awaiting bool      // the commit waits for other environments
	opens    time.Time // when the window opens that the commit waits for; zero: it does not
	claim    release.Claim
	admitted time.Time // when the ServiceAccount was verified

	past       release.Past // as it was read last, when recalled is set
	recalled   bool
	tracker    *deploy.Tracker // of target; nil: none yet
	moves      deploy.Moves    // what has changed since drift was found
	drift      deploy.Drift
	own        int                    // the release that this process deployed and has not compared; 0: none
	touched    bool                   // an object was written, if only in its status, since then
	judged     time.Time              // when the health of the release was judged
	verified   time.Time              // when all objects were compared
	repairs    map[string][]time.Time // of each field
	fought     *fightError            // the fight that ended the repairs; nil: none
	reported   string                 // the drift that was logged last
	badSince   time.Time              // of the release that runs; zero: it is healthy
	unseen     string                 // what could not be looked at, as it was logged last
	retreating retreating

	promotion promotion
	published published

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
		e.update(func(s *Status) { s.judged = e.commit })
		return
	}
	e.update(func(s *Status) { s.Verdict, s.judged, s.Message, s.Plan = v, e.commit, message, nil })
	e.agent.counters.update(func(c *counters) { c.verdicts[[2]string{e.name, string(v)}]++ })
	e.log.Info(message, "verdict", v, "commit", e.commit)
	if reason := reasons[v]; reason != "" {
		warning := v == Refused || v == Quarantined
		e.announce(reason, message, warning)
		if !wasDecided(is, v) {
			e.tell(string(v), message, warning)
		}
	}
}

// keep makes passes until the context ends: at each new commit, and at each interval.
func (e *environment) keep(ctx context.Context) {
	defer func() {
		if e.remove != nil {
			e.remove()
		}
		if e.next != nil {
			e.next.remove()
		}
		e.stopTracking()
	}()
	for {
		rest := e.rest()
		e.update(func(s *Status) { s.Next = time.Now().UTC().Add(rest) })
		wait := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case e.wanted = <-e.wake:
		case <-e.changes():
			debounce(ctx)
		case <-wait.C:
		}
		wait.Stop()
		for again := true; again && ctx.Err() == nil; again = e.next != nil {
			e.note(ctx, e.turn(ctx))
		}
	}
}

// rest is how long until the next turn, if nothing happens before: at most until a pause ends by itself.
func (e *environment) rest() time.Duration {
	d := backoff(e.mirror.Interval, e.failures)
	for _, p := range e.past.Pauses.Active(time.Now()) {
		if !p.Until.IsZero() {
			d = min(d, time.Until(p.Until))
		}
	}
	if !e.opens.IsZero() {
		d = max(0, min(d, time.Until(e.opens)))
	}
	return d
}

// turn reads the newest commit if there is one, and makes a pass. Where that commit cannot be read, the
// cluster is still compared with its release, and the commit is read again at the next turn.
func (e *environment) turn(ctx context.Context) (err error) {
	next := e.next
	if next == nil && e.wanted != "" {
		same, done, failed := e.advance(ctx, e.wanted)
		if err = failed; err == nil && !same {
			next, err = e.prepare(ctx, e.wanted)
		}
		done()
	}
	if next != nil {
		e.adopt(next)
	}
	if e.commit == "" {
		return err
	}
	began := time.Now()
	passed := e.pass(ctx)
	e.agent.counters.update(func(c *counters) { observe(c.passes, e.name, passTimes, time.Since(began)) })
	if errors.As(passed, new(*deploy.SupersededError)) {
		passed = nil // the next turn deploys the newer commit
	}
	return errors.Join(err, passed)
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
		e.announce("Error", err.Error(), true)
		e.log.Error(err.Error(), "commit", e.commit)
	}
}

func (e *environment) connect(src project.Source) (deploy.Target, error) {
	env, err := src.Project.Environment(e.name)
	if err != nil {
		return deploy.Target{}, err
	}
	o := e.agent.options.Connect
	o.Context, o.Account = e.policy.Context, e.policy.ServiceAccount
	o.Namespace = cmp.Or(e.policy.Namespace, o.Namespace)
	t, err := deploy.Connect(src, env, o)
	t.Render = e.agent.options.Render
	t.Notify = func(ev deploy.Event) { e.log.Debug(ev.Message, "step", ev.Step) }
	return t, err
}

// pass looks at the newest commit, and then at the cluster.
func (e *environment) pass(ctx context.Context) error {
	if err := e.admit(ctx); err != nil {
		e.judge(Refused, "this agent may not act in %s", e.name)
		return err
	}
	if err := e.recall(ctx); err != nil {
		return err
	}
	if p := e.past.Pauses.Suspending(time.Now()); p != nil {
		e.judge(Suspended, "%s", p)
		e.looked = false
		return e.guard(ctx)
	}
	if e.wanted == "" { // never deploy a commit when there is a newer one
		if err := e.follow(ctx); err != nil || e.next != nil {
			return err
		}
		if !e.recalled {
			if err := e.recall(ctx); err != nil {
				return err
			}
		}
	}
	if acted, err := e.retreat(ctx); err != nil || acted {
		return err
	}
	if rolledBack, err := e.watch(ctx); err != nil || rolledBack {
		return err
	}
	return errors.Join(e.guard(ctx), e.publish(ctx), e.promote(ctx))
}

// follow deploys the newest commit, or says why not.
func (e *environment) follow(ctx context.Context) error {
	if e.looked || time.Now().Before(e.opens) || e.awaiting && e.awaitOthers() {
		return nil
	}
	p, err := deploy.Propose(ctx, e.target, deploy.ProposeOptions{
		Past: &e.past, OnlyHere: true, TakeOver: e.policy.TakeOver,
	})
	var held *deploy.QuarantinedError
	switch {
	case errors.As(err, &held):
		return e.hold(ctx, held)
	case err != nil:
		e.judge(Refused, "commit %s cannot be deployed", short(e.commit))
		return err
	}
	digest := p.Prepared.Set.Digest()
	switch latest := p.Latest; {
	case p.Done(), latest.Status == release.Healthy && latest.Digest == digest:
		e.settle()
		e.remember(p)
		if p.Unsettled == "" {
			e.judged = time.Now()
		}
		e.update(func(s *Status) { s.Applied, s.Release = latest.Commit, latest.Revision })
		if len(latest.NotRun) > 0 {
			e.judge(Unproven, "commit %s is release %d: %s", short(e.commit), latest.Revision,
				deploy.NotRunText(latest))
			return nil
		}
		if latest.Commit != e.commit {
			e.judgeUnchanged(latest.Revision, latest.Commit)
			return nil
		}
		e.judge(Synced, "commit %s is release %d", short(e.commit), latest.Revision)
		return nil
	case e.policy.OnCommit == Ask:
		e.looked = true // until somebody deploys
		e.judge(Waiting, "commit %s waits for `slipway deploy %s`", short(e.commit), e.name)
		e.update(func(s *Status) { s.Plan = &p.Plan })
		return nil
	case e.awaitOthers(), e.awaitWindow():
		return nil
	}
	err = errors.Join(p.Blocked(), e.onward(ctx, p))
	if errors.Is(err, errDeepened) {
		return e.follow(ctx)
	}
	if err != nil {
		e.judge(Refused, "commit %s cannot be deployed", short(e.commit))
		return err
	}
	e.judge(Deploying, "deploying commit %s", short(e.commit))
	rel, err := e.apply(ctx, p)
	var failed *deploy.FailedError
	var superseded *deploy.SupersededError
	switch {
	case errors.As(err, &failed):
		return e.condemn(ctx, failed)
	case errors.As(err, &superseded):
		e.judge(Superseded, "commit %s was superseded by commit %s", short(e.commit), short(superseded.Commit))
		return nil
	case errors.Is(err, plan.ErrStale):
		return nil // somebody changed the cluster meanwhile: the next pass makes a new plan
	case err != nil:
		return err
	}
	e.settle()
	e.remember(p)
	e.update(func(s *Status) { s.Applied, s.Release = rel.Commit, rel.Revision })
	if len(rel.NotRun) > 0 {
		e.judge(Unproven, "commit %s is release %d: %s", short(e.commit), rel.Revision, deploy.NotRunText(rel))
		return nil
	}
	e.agent.counters.update(func(c *counters) { observe(c.healthy, e.name, deployTimes, time.Since(e.seen)) })
	e.judge(Synced, "commit %s is release %d, healthy after %.1f s", short(e.commit), rel.Revision,
		rel.Finished.Sub(rel.Started).Seconds())
	return nil
}

// errDeepened says that the clone has more history now: a look at it may tell more.
var errDeepened = errors.New("the clone has more history now")

// onward refuses a commit that does not build on the one that runs, or on the one that was looked at last:
// the branch was rewritten, or somebody deployed another one.
func (e *environment) onward(ctx context.Context, p deploy.Proposal) error {
	d := p.Prepared.Direction
	if d.Unknown != "" || d.Back != nil {
		if deepened, err := e.mirror.deepen(ctx); err != nil {
			return err
		} else if deepened {
			return errDeepened
		}
	}
	switch {
	case d.Unknown != "":
		return fmt.Errorf("whether this goes back is unknown: %s: deploy it by hand if it is right", d.Unknown)
	case d.Back != nil:
		return d.Back
	case e.settled == "":
		return nil
	}
	_, lost, err := e.mirror.repository().Between(ctx, e.settled, e.commit)
	if err == nil && lost > 0 {
		err = fmt.Errorf("the history of %s was rewritten: commit %s does not contain %s, which was there before: "+
			"run `slipway deploy %s` at that commit if it is right", e.mirror.Branch, short(e.commit),
			short(e.settled), e.name)
	}
	return err
}

// condemn quarantines what a failed release wanted. Deploy has gone back already where it could.
func (e *environment) condemn(ctx context.Context, failed *deploy.FailedError) error {
	rel, err := e.target.Records().Hold(ctx, failed.Release.Revision, failed.Release.Failure, nil)
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", failed.Release.Revision, err)
	}
	e.announce("Failed", failed.Error(), true)
	if failed.RollbackErr != nil {
		e.announce("NotRolledBack", failed.RollbackErr.Error(), true)
		e.log.Error("not rolled back: "+failed.RollbackErr.Error(), "release", rel.Revision)
	}
	return e.hold(ctx, &deploy.QuarantinedError{Environment: e.name, Release: rel})
}

// hold keeps a commit back whose objects or images were bad, and reverts it on its branch where the policy
// says so.
func (e *environment) hold(ctx context.Context, why *deploy.QuarantinedError) error {
	rel, what := why.Release, "its objects are"
	if why.Image != "" {
		what = fmt.Sprintf("its image %s is of", why.Image)
	}
	e.judge(Quarantined, "commit %s is held back: %s release %d, which is in quarantine: %s", short(e.commit),
		what, rel.Revision, rel.Quarantine.Reason)
	past, err := e.target.Records().Past(ctx)
	if err != nil {
		return err
	}
	e.holder = rel.Revision
	e.update(func(s *Status) { s.Applied, s.Release = past.Latest.Commit, past.Latest.Revision })
	if e.policy.WriteBack != Never {
		if err := e.revert(ctx, rel, past); err != nil {
			return fmt.Errorf("revert commit %s: %w", short(e.commit), err)
		}
	}
	e.settle()
	return nil
}

// settle notes that the commit needs no further look.
func (e *environment) settle() { e.settled, e.looked = e.commit, true }

func short(commit string) string { return commit[:min(len(commit), 7)] }
