package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
)

// WaitOptions says how long to wait and who listens.
type WaitOptions struct {
	// Timeout for all of it. Zero: the longest deadline that a workload of the set states for
	// itself, and a minute, but at least five minutes.
	Timeout time.Duration
	// Grace is how long a pod that fits on no node, or that a quota refuses, may wait for room.
	// Zero: 15 seconds.
	Grace time.Duration
	// Unchanged are objects of the set that were so before. What their pods could not pull then says
	// nothing of now, whoever has pushed the image or made the pull secret since: it must fail again.
	Unchanged []object.Ref
	// Notify hears of each change of an object's health, from one goroutine.
	Notify func(Progress)
}

// Progress is news on one object: "Deployment prod/api", "2 of 3 ready".
type Progress struct {
	Ref     object.Ref
	Status  object.Status
	Message string
}

// NotHealthyError says which objects are not healthy, and why.
type NotHealthyError struct {
	// Failures explain what failed for good, or after a timeout what was still not ready.
	Failures []Evidence
	// Waiting were neither healthy nor failed yet.
	Waiting []object.Ref
	Timeout bool
	// Err is the last answer of an API server that could not be asked until the end.
	Err error
}

func (e *NotHealthyError) Error() string {
	var parts []string
	for _, f := range e.Failures {
		parts = append(parts, fmt.Sprintf("%s: %s", f.Ref, f.Cause))
	}
	if len(parts) == 0 {
		for _, r := range e.Waiting {
			parts = append(parts, r.String())
		}
	}
	text := "not healthy: "
	if e.Timeout {
		text = "not healthy in time: "
	}
	if len(parts) > 3 {
		parts = append(parts[:3], fmt.Sprintf("and %d more", len(parts)-3))
	}
	text += strings.Join(parts, "; ")
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *NotHealthyError) Unwrap() error { return e.Err }

const (
	minTimeout   = 5 * time.Minute
	defaultGrace = 15 * time.Second
	// settle is how long a container without a readiness probe must have run before it counts:
	// Kubernetes calls it ready the moment it starts, also if it exits in the next one.
	settle      = 3 * time.Second
	pollFast    = 400 * time.Millisecond
	pollSlow    = 2 * time.Second
	callTimeout = 10 * time.Second
)

// Wait returns nil as soon as every blocking object of the set is healthy, or a *NotHealthyError as
// soon as one of them cannot become healthy by itself, or at the timeout. An API server that stops
// to answer is asked again until the timeout. It reads only, but for the broken pods that a
// StatefulSet's rollout gets stuck on, see unstick.
func (c *Cluster) Wait(ctx context.Context, set object.Set, o WaitOptions) error {
	w := newWaiter(c, set, o)
	if len(w.items) == 0 {
		return context.Cause(ctx)
	}
	timeout := time.NewTimer(w.timeout)
	defer timeout.Stop()
	for {
		again := w.round(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failed := w.failed(); len(failed) > 0 {
			return w.report(ctx, failed, false)
		}
		if w.done() && !again {
			return nil
		}
		next := time.NewTimer(w.pause())
		select {
		case <-ctx.Done():
			next.Stop()
			return context.Cause(ctx)
		case <-timeout.C:
			next.Stop()
			return w.report(ctx, w.pending(), true)
		case <-next.C:
		}
	}
}

// waiter is one Wait: what it has seen of each object so far.
type waiter struct {
	c              *Cluster
	items          []*item
	timeout, grace time.Duration
	notify         func(Progress)
	scrub          func(string) string
	began          time.Time
	rounds         int
	unreachable    int // rounds in a row without any answer
}

func newWaiter(c *Cluster, set object.Set, o WaitOptions) *waiter {
	w := &waiter{c: c, timeout: o.Timeout, grace: o.Grace, notify: o.Notify, scrub: scrubber(set), began: time.Now()}
	if w.grace == 0 {
		w.grace = defaultGrace
	}
	for _, obj := range set.Objects() {
		if obj.Blocking() {
			it := newItem(obj)
			it.unchanged = slices.Contains(o.Unchanged, it.ref)
			w.items = append(w.items, it)
		}
	}
	if w.timeout == 0 {
		w.timeout = minTimeout
		for _, it := range w.items {
			w.timeout = max(w.timeout, it.deadline()+time.Minute)
		}
	}
	return w
}

// round looks once at each object that is not done. Once all are, it looks at all again if some
// were done rounds ago: what was healthy a minute ago may have crashed since. It says whether
// another look is due.
func (w *waiter) round(ctx context.Context) (again bool) {
	look := w.pending()
	if len(look) == 0 {
		for _, it := range w.items {
			it.done = false
		}
		look = w.items
	}
	before := len(w.items) - len(look)
	each(len(look), func(i int) { w.check(ctx, look[i]) })
	w.rounds++
	w.news(look, before > 0 || w.rounds > 1)
	return w.done() && before > 0
}

// news tells the listener what changed. When something has just become healthy, whoever crashed
// meanwhile may have waited for it, and gets one more start.
func (w *waiter) news(look []*item, later bool) {
	healthier, silent := false, 0
	for _, it := range look {
		if it.err != nil {
			if noAnswer(it.err) {
				silent++
			}
			continue
		}
		healthier = healthier || it.done
		if it.told != it.health && w.notify != nil {
			w.notify(Progress{Ref: it.ref, Status: it.health.Status, Message: w.text(it.health.Message)})
		}
		it.told = it.health
	}
	if silent == len(look) {
		w.unreachable++
	} else {
		w.unreachable = 0
	}
	for _, it := range look {
		if healthier && later && !it.done {
			it.pardon()
		}
	}
}

// failed are the objects that will not become healthy by themselves. A crash alone counts only
// when nothing else is on its way: applications that start before their database crash until it
// is there, and that is no fault.
func (w *waiter) failed() []*item {
	var hard, crashed []*item
	waiting := 0
	for _, it := range w.pending() {
		switch {
		case it.isHard():
			hard = append(hard, it)
		case len(it.final) > 0:
			crashed = append(crashed, it)
		default:
			waiting++
		}
	}
	if len(hard) > 0 || waiting == 0 {
		return append(hard, crashed...)
	}
	return nil
}

func (w *waiter) pending() []*item {
	var list []*item
	for _, it := range w.items {
		if !it.done {
			list = append(list, it)
		}
	}
	return list
}

func (w *waiter) done() bool { return len(w.pending()) == 0 }

// pause is short at first, so that a deploy of healthy things ends at once, and longer while
// nothing answers.
func (w *waiter) pause() time.Duration {
	switch {
	case w.unreachable > 0:
		return min(pollFast<<min(w.unreachable, 4), 5*time.Second)
	case time.Since(w.began) > time.Minute:
		return pollSlow
	case time.Since(w.began) > 20*time.Second:
		return time.Second
	}
	return pollFast
}

// check looks at one object. It touches nothing but the item.
func (w *waiter) check(ctx context.Context, it *item) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	it.symptoms, it.final = nil, nil
	live, err := w.c.read(ctx, it.ref)
	switch {
	case apierrors.IsNotFound(err):
		it.err = nil
		w.gone(it)
		return
	case err != nil:
		it.err = err
		if isDenied(err) {
			it.add(symptom{reason: "Forbidden", message: err.Error(), after: standDenied})
		}
		it.judge(time.Now())
		return
	}
	it.err, it.live = nil, live
	it.health = live.Health()
	if it.health.Status == object.Current && w.settled(ctx, it) {
		it.done = true
		return
	}
	w.examine(ctx, it)
	it.judge(time.Now())
	w.roomSoon(ctx, it)
}

// isDenied tells refusals, which rarely are a passing state of an API server that has just started.
func isDenied(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }

// gone is an object that is not there. A Job with a time to live vanishes after it ran, so that
// its absence counts as done.
func (w *waiter) gone(it *item) {
	if it.desired.Ref().Kind == "Job" && it.desired.At("spec", "ttlSecondsAfterFinished") != nil {
		it.health = object.Health{Status: object.Current, Message: "finished, and removed after its time to live"}
		it.done = true
		return
	}
	it.health = object.Health{Status: object.NotFound, Message: "is not there"}
	it.add(symptom{reason: "NotFound", message: "the object is gone", after: 5 * time.Second})
	it.judge(time.Now())
}

// report gathers evidence. It must not be cut short by the timeout that may have led to it.
func (w *waiter) report(ctx context.Context, failed []*item, timeout bool) error {
	evidence := make([][]Evidence, len(failed))
	each(len(failed), func(i int) { evidence[i] = w.evidence(ctx, failed[i]) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &NotHealthyError{Timeout: timeout, Failures: slices.Concat(evidence...)}
	for _, it := range failed {
		if isDenied(it.err) {
			return w.c.explain("get", it.ref, it.err)
		}
		if it.err != nil {
			e.Err = w.c.explain("get", it.ref, it.err)
		}
	}
	for _, it := range w.pending() {
		if timeout || !slices.Contains(failed, it) {
			e.Waiting = append(e.Waiting, it.ref)
		}
	}
	return e
}
