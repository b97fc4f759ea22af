package agent

import (
	"context"
	"errors"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
)

// environment is the loop that keeps one environment: what wakes it, the order of the steps of a pass, and
// what ends a pass. Its goroutine alone uses it; others use the reporter and incoming.offer.
type environment struct {
	*state
	incoming *incoming
	failures int // of passes, in a row

	// The steps of a pass, each with what it alone remembers.
	admission admission
	delivery  delivery
	rollback  rollback
	guard     guard
	publisher publisher
	promotion promotion
}

// debounce is how long a burst of changes in the cluster may last before the environment looks at them.
const debounce = 20 * time.Millisecond

// keep makes turns, each with a pass, until the context ends: at each new commit, after each change in the
// cluster, and at each interval.
func (e *environment) keep(ctx context.Context) {
	defer e.close()
	for {
		rest := e.rest()
		e.update(func(s *Status) { s.Next = time.Now().UTC().Add(rest) })
		wait := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case e.incoming.wanted = <-e.incoming.wake:
		case <-e.changes():
			cluster.Sleep(ctx, debounce)
		case <-wait.C:
		}
		wait.Stop()
		for again := true; again && ctx.Err() == nil; again = e.incoming.next != nil {
			e.note(ctx, e.turn(ctx))
		}
	}
}

// pass brings the cluster to the newest commit, and then compares the two. An error ends it, and so does a
// step that says so; its comment says when.
func (e *environment) pass(ctx context.Context) error {
	for _, step := range []func(context.Context) (ends bool, err error){
		e.admission.admit,  // may this agent act here?
		e.recall,           // what do the records say?
		e.pause,            // has a person suspended it? That ends the pass.
		e.follow,           // deploy the newest commit; a newer one that was read meanwhile ends the pass
		e.rollback.retreat, // roll back what its deploy could not roll back; a try ends the pass
		e.rollback.watch,   // roll back what has turned bad since; that ends the pass
	} {
		if ends, err := step(ctx); ends || err != nil {
			return err
		}
	}
	return errors.Join(e.guard.check(ctx), e.publisher.publish(ctx, e.rollback.badSince), e.promote(ctx))
}

// turn reads the newest commit if there is one, and makes a pass. Where that commit cannot be read, the
// cluster is still compared with its release, and the commit is read again at the next turn.
func (e *environment) turn(ctx context.Context) error {
	if e.incoming.any() || !e.looked {
		if err := e.incoming.goAhead(ctx); err != nil {
			return err
		}
		defer e.incoming.giveWay()
		e.incoming.receive()
	}
	next, unread := e.incoming.read(ctx)
	if next != nil {
		e.adopt(next)
	}
	if e.commit == "" {
		return unread
	}
	began := time.Now()
	err := e.pass(ctx)
	e.agent.counters.update(func(c *counters) { observe(c.passes, e.name, passTimes, time.Since(began)) })
	if errors.As(err, new(*deploy.SupersededError)) {
		err = nil // the next turn deploys the newer commit
	}
	return errors.Join(unread, err)
}

// rest is how long until the next turn, if nothing happens before: at most until a pause ends by itself, or
// the window opens that the commit waits for.
func (e *environment) rest() time.Duration {
	d := backoff(e.mirror.Interval, e.failures)
	for _, p := range e.past.Pauses.Active(e.now()) {
		if !p.Until.IsZero() {
			d = min(d, p.Until.Sub(e.now()))
		}
	}
	if opens := e.delivery.waits.opens; !opens.IsZero() {
		d = max(0, min(d, opens.Sub(e.now())))
	}
	return d
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

// adopt makes a commit the one to deploy. What the steps remember of the one before it ends.
func (e *environment) adopt(c *checkout) {
	e.state.adopt(c)
	e.incoming.clear()
	e.failures, e.guard.fights.ended = 0, nil
	e.admission.admitted, e.delivery.waits.opens = time.Time{}, time.Time{}
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
	return true, e.guard.check(ctx)
}

// follow deploys the newest commit, or says why not. It ends the pass where a newer one was read meanwhile.
func (e *environment) follow(ctx context.Context) (ends bool, err error) {
	if e.incoming.wanted != "" { // never deploy a commit when there is a newer one
		return false, nil
	}
	if err := e.delivery.look(ctx); err != nil || e.incoming.next != nil {
		return true, err
	}
	if !e.recalled {
		return e.recall(ctx)
	}
	return false, nil
}

// promote brings the images into the environment that its gates or its tags allow, as the policy says: not
// into the files of a commit that something is still to become of.
func (e *environment) promote(ctx context.Context) error {
	if e.policy.Promote == Never || !e.looked && !e.delivery.waits.image || e.incoming.any() {
		return nil
	}
	p := promoter{e.reporter, e.checkout, e.past, &e.promotion}
	if len(e.target.Environment.Follow) > 0 {
		return p.followTags(ctx)
	}
	return p.promote(ctx)
}

// close gives back the files of commits, and ends the watches.
func (e *environment) close() {
	e.checkout.close()
	e.incoming.close()
	e.stopTracking()
}

// newEnvironment makes the loop of an entry, with its steps.
func newEnvironment(is entry) *environment {
	s := &state{reporter: &reporter{
		entry: is, log: is.agent.options.Log.With("environment", is.name), events: make(chan event, 16),
		status: Status{Environment: is.name, Repository: is.mirror.String(), Verdict: Unknown},
	}}
	in := &incoming{state: s, wake: make(chan string, 1)}
	d := &deployer{s, in}
	return &environment{
		state: s, incoming: in, admission: admission{state: s},
		delivery: delivery{state: s, deployer: d, waits: waits{state: s}},
		rollback: rollback{state: s, deployer: d}, guard: guard{state: s, deployer: d},
		publisher: publisher{state: s},
	}
}
