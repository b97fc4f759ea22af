package agent

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// who is the agent in records.
const who = "slipway agent"

// entry is an environment as the configuration has it, in the agent that keeps it.
type entry struct {
	name   string
	policy Environment
	mirror *mirror
	agent  *Agent
}

// environment is one environment that the agent keeps. Its goroutine alone uses all but the reporter, wake,
// leave and events.
type environment struct {
	*reporter
	checkout                        // the commit to deploy
	view                            // the cluster
	wake     chan string            // the newest commit; holds the last one
	leave    atomic.Pointer[func()] // the queue; nil: it is not in it

	// key is that of the files that the commit that runs was rendered from; empty: a later one is rendered
	// anyway.
	key       string
	wanted    string    // a newer commit that was not read yet
	next      *checkout // a newer commit that was read while a deploy ran
	settled   string    // the last commit that was deployed, held, or found to run
	looked    bool      // the commit needs no further look
	holder    int       // the release in quarantine that keeps the commit back; 0: none
	failures  int
	awaiting  bool      // the commit waits for other environments
	imageless bool      // the commit waits for an image
	opens     time.Time // when the window opens that the commit waits for; zero: it does not
	claim     release.Claim
	admitted  time.Time // when the ServiceAccount was verified

	fights     fights
	reported   string    // the drift that was logged last
	judged     time.Time // when the health of the release was judged
	badSince   time.Time // of the release that runs; zero: it is healthy
	unseen     string    // what could not be looked at, as it was logged last
	retreating retreating

	promotion promotion
	published published
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
	for _, p := range e.past.Pauses.Active(e.now()) {
		if !p.Until.IsZero() {
			d = min(d, p.Until.Sub(e.now()))
		}
	}
	if !e.opens.IsZero() {
		d = max(0, min(d, e.opens.Sub(e.now())))
	}
	return d
}

// turn reads the newest commit if there is one, and makes a pass. Where that commit cannot be read, the
// cluster is still compared with its release, and the commit is read again at the next turn.
func (e *environment) turn(ctx context.Context) (err error) {
	if e.next != nil || e.wanted != "" || !e.looked {
		if err := e.goAhead(ctx); err != nil {
			return err
		}
		defer e.giveWay()
		if e.next == nil {
			select {
			case e.wanted = <-e.wake: // it came meanwhile
			default:
			}
		}
	}
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
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		e.failures = 0
	default:
		e.failures++
	}
	e.noteError(err)
}

// pass looks at the newest commit, and then at the cluster. Each of the first steps may end it.
func (e *environment) pass(ctx context.Context) error {
	for _, step := range []func(context.Context) (ends bool, err error){
		e.admit,   // may this agent act here?
		e.recall,  // what do the records say?
		e.pause,   // has a person suspended it?
		e.follow,  // deploy the newest commit
		e.retreat, // roll back what its deploy could not roll back
		e.watch,   // roll back what has turned bad since
	} {
		if ends, err := step(ctx); ends || err != nil {
			return err
		}
	}
	return errors.Join(e.guard(ctx), e.publish(ctx), e.promote(ctx))
}

// pause ends the pass of an environment that a person has suspended. Its drift is still reported.
func (e *environment) pause(ctx context.Context) (ends bool, err error) {
	e.noteClock(e.target.Cluster)
	p := e.past.Pauses.Suspending(e.now())
	if p == nil {
		return false, nil
	}
	e.judge(Suspended, "%s", p)
	e.looked = false
	return true, e.guard(ctx)
}

// follow deploys the newest commit, or says why not. It ends the pass where a newer one was read meanwhile.
func (e *environment) follow(ctx context.Context) (ends bool, err error) {
	if e.wanted != "" { // never deploy a commit when there is a newer one
		return false, nil
	}
	if err := e.look(ctx); err != nil || e.next != nil {
		return true, err
	}
	if !e.recalled {
		return e.recall(ctx)
	}
	return false, nil
}

// look plans the deploy of the newest commit, and decides what becomes of it.
func (e *environment) look(ctx context.Context) error {
	if e.looked || e.now().Before(e.opens) || e.awaiting && e.awaitOthers() {
		return nil
	}
	if waits, err := e.awaitCommit(ctx); waits || err != nil {
		return err
	}
	p, err := deploy.Propose(ctx, e.target, deploy.ProposeOptions{
		Past: &e.past, OnlyHere: true, TakeOver: e.policy.TakeOver,
	})
	if held, ok := errors.AsType[*deploy.QuarantinedError](err); ok {
		return e.hold(ctx, held)
	}
	if err != nil {
		return e.refuse(err)
	}
	runs := p.Latest.Status == release.Healthy && p.Latest.Digest == p.Prepared.Set.Digest() &&
		p.Latest.Override == nil
	switch {
	case p.Done(), runs:
		e.noteRunning(p)
		return nil
	case e.policy.OnCommit == Ask:
		e.looked = true // until somebody deploys
		e.judge(Waiting, "commit %s waits for `slipway deploy %s`", short(e.commit), e.name)
		e.update(func(s *Status) { s.Plan = &p.Plan })
		return nil
	case e.awaitOthers(), e.awaitWindow(), e.awaitImage(p):
		return nil
	}
	err = errors.Join(p.Blocked(), e.onward(ctx, p))
	if errors.Is(err, errDeepened) {
		return e.look(ctx)
	}
	if err != nil {
		return e.refuse(err)
	}
	return e.carryOut(ctx, p)
}

// refuse judges that the commit cannot be deployed, and returns why.
func (e *environment) refuse(err error) error {
	e.judge(Refused, "commit %s cannot be deployed", short(e.commit))
	return err
}

// noteRunning judges a commit whose objects run already.
func (e *environment) noteRunning(p deploy.Proposal) {
	if p.Unsettled == "" {
		e.judged = time.Now()
	}
	rel := p.Latest
	switch proven := e.take(p, rel); {
	case !proven:
	case rel.Commit != e.commit:
		e.judgeUnchanged(rel.Revision, rel.Commit)
	default:
		e.judge(Synced, "commit %s is release %d", short(e.commit), rel.Revision)
	}
}

// carryOut deploys the commit, and judges it by what became of the release.
func (e *environment) carryOut(ctx context.Context, p deploy.Proposal) error {
	e.judge(Deploying, "deploying commit %s", short(e.commit))
	rel, err := e.apply(ctx, p)
	var failed *deploy.FailedError
	var superseded *deploy.SupersededError
	switch {
	case errors.As(err, &failed) && cluster.IsOutage(failed.Cause):
		e.judge(Waiting, "commit %s waits for the API server: it turned down release %d", short(e.commit),
			failed.Release.Revision)
		return err // it says nothing about the commit, which is deployed again
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
	if e.take(p, rel) {
		e.agent.counters.update(func(c *counters) { observe(c.healthy, e.name, deployTimes, time.Since(e.seen)) })
		e.judge(Synced, "commit %s is release %d, healthy after %.1f s", short(e.commit), rel.Revision,
			rel.Finished.Sub(rel.Started).Seconds())
	}
	return nil
}

// take notes the release that has the objects of the commit. It reports whether its pods ran, and judges the
// commit where they did not.
func (e *environment) take(p deploy.Proposal, rel release.Release) (proven bool) {
	e.settle()
	e.key = e.keyOf(p)
	e.update(func(s *Status) { s.Applied, s.Release = rel.Commit, rel.Revision })
	if len(rel.NotRun) > 0 {
		e.judge(Unproven, "commit %s is release %d: %s", short(e.commit), rel.Revision, deploy.NotRunText(rel))
	}
	return len(rel.NotRun) == 0
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
	lost, err := e.mirror.loses(ctx, e.settled, e.target.Source)
	if err == nil && lost {
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
		if err := (reverter{e.reporter, e.checkout}).revert(ctx, rel, past); err != nil {
			return fmt.Errorf("revert commit %s: %w", short(e.commit), err)
		}
	}
	e.settle()
	return nil
}

// settle notes that the commit needs no further look.
func (e *environment) settle() { e.settled, e.looked = e.commit, true }

func short(commit string) string { return commit[:min(len(commit), 7)] }
