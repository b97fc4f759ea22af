// Package rollout waits until the objects of a release are healthy, and collects the evidence when one is
// not: the pod, its events, the exit code, the last log lines and the probable cause. It changes nothing,
// except that it deletes pods of a StatefulSet's earlier template that cannot recover.
package rollout

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// Options are the bounds of a wait, and its listener.
type Options struct {
	// Timeout bounds the wait. Zero: the longest deadline that a workload of the set states, and a minute, but
	// at least five minutes.
	Timeout time.Duration
	// Grace is how long an unschedulable pod, or one over quota, may wait for room. Zero: 15 seconds.
	Grace time.Duration
	// Settle is how long the pods of a changed workload must stay ready, without a restart, before it counts as
	// healthy. Zero: it counts when it becomes ready.
	Settle time.Duration
	// Judge decides on the health of the objects.
	Judge Judge
	// Unchanged are objects of the set that the deploy did not change. A pull of theirs that failed before the
	// wait must fail again: the image or the pull secret may exist by now.
	Unchanged []object.Ref
	// SettleAll: the settling time is for unchanged workloads too.
	SettleAll bool
	// Notify is called on each change of an object, from one goroutine.
	Notify func(Progress)
	// Say is called with what else to know about the wait. It may be nil.
	Say func(text string)
}

// Progress is a change of one object: "Deployment prod/api", "2 of 3 ready".
type Progress struct {
	Ref     object.Ref
	Status  object.Status
	Message string
}

// NotHealthyError says which objects are not healthy, and why.
type NotHealthyError struct {
	// Failures explain the objects that failed or, after a timeout, were not ready.
	Failures []Evidence
	// Waiting were neither healthy nor failed.
	Waiting []object.Ref
	Timeout bool
	// Err is the last error of an API server that did not answer until the end.
	Err error
}

func (e *NotHealthyError) Error() string {
	var parts []string
	for _, f := range e.Failures {
		parts = append(parts, fmt.Sprintf("%s: %s", f.Ref, f.Cause))
	}
	if len(parts) > 3 {
		parts = append(parts[:3], fmt.Sprintf("and %d more", len(parts)-3))
	}
	text := "not healthy: "
	if e.Timeout {
		text = "not healthy in time: "
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
	pollFast     = 400 * time.Millisecond
	pollSlow     = 2 * time.Second
	gather       = 20 * time.Millisecond // changes come together
	// reportTime bounds reading the events and logs of the failed objects.
	reportTime = 10 * time.Second
	servedTime = time.Minute
)

// Wait returns nil when every blocking object of the set is healthy. It fails with a *NotHealthyError when
// one of them cannot become healthy by itself, or at the timeout. It retries until the timeout when the API
// server stops answering. It only reads, except for the broken pods of a StatefulSet: see unstick.
func Wait(ctx context.Context, c *cluster.Cluster, set object.Set, o Options) error {
	w := newWaiter(c, set, o)
	if len(w.items) == 0 {
		return nil
	}
	// A workload that became ready in time may need the settling time to prove it.
	until, cancel := context.WithTimeout(ctx, w.timeout+w.settle+w.patience)
	defer cancel()
	refs, desired := w.watched()
	w.live = cluster.Watch(until, c, refs, desired)
	defer w.live.Stop()
	for followed := false; ; followed = true {
		w.look(until)
		w.news()
		w.sayUnseen(o.Say)
		failed, pending := w.verdict()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case until.Err() != nil && len(pending) > 0: // the look was cut short: its failures are not certain
			return w.report(ctx, pending, pending, true)
		case len(failed) > 0:
			return w.report(ctx, failed, pending, false)
		case len(pending) == 0:
			return nil
		case time.Since(w.began) >= w.timeout && slices.ContainsFunc(pending, w.isLate):
			return w.report(ctx, pending, pending, true)
		}
		if !followed {
			w.live.Follow(until)
		}
		w.sayDenied(o.Say)
		if !w.pause(until) && ctx.Err() == nil {
			return w.report(ctx, pending, pending, true)
		}
	}
}

// look examines all objects, because one that was healthy may have crashed since. Between two such looks it
// examines those that have changed, and those whose settling time has ended.
func (w *waiter) look(ctx context.Context) {
	now := time.Now()
	if w.lists == nil || now.Sub(w.lists.made) >= pollFast/4 {
		w.lists = &lists{client: w.c.Typed(), pending: w.pendingIn(), made: now}
	}
	if !now.Before(w.nextLook) {
		w.live.Moved()
		cluster.Each(len(w.items), func(i int) { w.examine(ctx, w.items[i]) })
		// Short pauses at first: what only pods and events tell is not watched.
		w.nextLook = time.Now().Add(min(max(pollFast, time.Since(w.began)/60), pollSlow))
		return
	}
	moved := map[object.Ref]bool{}
	for _, ref := range w.live.Moved() {
		moved[ref] = true
	}
	var some []*item
	for _, it := range w.items {
		if moved[it.ref] || it.settling && !now.Before(it.healthyAt.Add(w.settle)) {
			some = append(some, it)
		}
	}
	cluster.Each(len(some), func(i int) { w.glance(ctx, some[i]) })
}

// pause waits until an object changes, or the next look is due. It is false when the context ended.
func (w *waiter) pause(ctx context.Context) bool {
	due := w.nextLook
	for _, it := range w.items {
		if end := it.healthyAt.Add(w.settle); it.settling && end.Before(due) {
			due = end
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-w.live.Changed():
		return cluster.Sleep(ctx, gather)
	case <-time.After(time.Until(due)):
		return true
	}
}

// sayDenied says once that objects are not watched.
func (w *waiter) sayDenied(say func(string)) {
	for _, err := range w.live.Denied() {
		if text := err.Error(); say != nil && !slices.Contains(w.denied, text) {
			w.denied = append(w.denied, text)
			say(fmt.Sprintf("polling objects every %s, because they cannot be watched: %s",
				pollSlow, text))
		}
	}
}

// sayUnseen says once that the pods of a namespace are not looked at.
func (w *waiter) sayUnseen(say func(string)) {
	for _, text := range slices.Sorted(maps.Keys(w.unseen)) {
		if say != nil && !slices.Contains(w.denied, text) {
			w.denied = append(w.denied, text)
			say(text)
		}
	}
}

// waiter is one Wait, with what it has seen of each object.
type waiter struct {
	c              *cluster.Cluster
	judge          Judge
	items          []*item
	timeout, grace time.Duration
	settle         time.Duration
	patience       time.Duration // beyond the timeout, for objects that a controller guides
	notify         func(Progress)
	secrets        []string // hidden in all that is said
	custom         []object.Object
	mu             sync.Mutex
	makers         map[object.Ref]object.Ref // the owner that makes an object; the zero value: none
	began          time.Time

	live     *cluster.Watched
	lists    *lists    // of the pods, as they were at this look
	nextLook time.Time // at all objects
	denied   []string  // what was said of objects that are not watched, and of pods that are not listed
	// unseen says whose pods may not be listed. Guarded by mu.
	unseen map[string]bool
}

func newWaiter(c *cluster.Cluster, set object.Set, o Options) *waiter {
	w := &waiter{
		c: c, judge: o.Judge,
		grace: cmp.Or(o.Grace, defaultGrace), settle: o.Settle, timeout: minTimeout, notify: o.Notify,
		began: time.Now(), secrets: object.SecretValues(set), makers: map[object.Ref]object.Ref{},
		unseen: map[string]bool{},
	}
	unchanged := make(map[object.Ref]bool, len(o.Unchanged))
	for _, ref := range o.Unchanged {
		unchanged[ref] = true
	}
	for _, obj := range set.Objects() {
		if obj.IsCustom() {
			w.custom = append(w.custom, obj)
		}
		// An outage of a store or a certificate authority holds up only what has changed there.
		if w.judge.Blocking(obj) && !(unchanged[obj.Ref()] && obj.Ref().IsExternal()) {
			it := newItem(obj)
			it.unchanged = unchanged[it.ref]
			it.settles = o.Settle > 0 && (o.SettleAll || !it.unchanged)
			w.items = append(w.items, it)
			w.timeout = max(w.timeout, it.deadline()+time.Minute)
		}
	}
	if o.Timeout == 0 && slices.ContainsFunc(w.items, func(it *item) bool { return it.ref.IsProgressive() }) {
		w.patience = guidedTime
	}
	w.timeout = cmp.Or(o.Timeout, w.timeout)
	return w
}

// watched are the objects that the wait watches, as they are desired.
func (w *waiter) watched() (refs []object.Ref, desired []object.Object) {
	for _, it := range w.items {
		refs, desired = append(refs, it.ref), append(desired, it.desired)
	}
	return refs, desired
}

// pendingIn counts the objects of each namespace that are not healthy.
func (w *waiter) pendingIn() map[string]int {
	n := map[string]int{}
	for _, it := range w.items {
		if !it.done {
			n[it.ref.Namespace]++
		}
	}
	return n
}

// glance looks at what an object says of itself. Why it is not healthy is for the next look at all.
func (w *waiter) glance(ctx context.Context, it *item) {
	live, found, err := w.live.Get(ctx, it.ref)
	if err != nil || !found {
		return
	}
	switch health := w.judge.Health(live); health.Status {
	case object.Current, object.Failed: // examine also knows what it has seen before
		w.examine(ctx, it)
	default:
		it.live, it.health, it.done, it.settling = live, health, false, false
		it.healthyAt, it.stable = time.Time{}, false
	}
}

// examine looks at one object. A look that is cut short keeps the result of the one before.
func (w *waiter) examine(ctx context.Context, it *item) {
	before := it.look
	w.read(ctx, it)
	if ctx.Err() != nil {
		before.err = it.err
		it.look = before
		return
	}
	if it.err == nil || isDenied(it.err) {
		it.judge(time.Now())
		w.awaitScaleUp(ctx, it)
		w.awaitMaker(ctx, it)
		w.awaitVolume(ctx, it)
	}
}

func (w *waiter) read(ctx context.Context, it *item) {
	live, found, err := w.live.Get(ctx, it.ref)
	if it.err = err; ctx.Err() != nil {
		return
	}
	it.done, it.settling, it.symptoms, it.final, it.waitsFor = false, false, nil, nil, ""
	switch {
	case isDenied(err): // rarely a passing state of an API server that has just started
		it.add(symptom{reason: "Forbidden", message: err.Error(), after: standDenied})
	case err != nil:
		return
	case !found:
		it.vanish()
	default:
		it.live, it.health = live, w.judge.Health(live)
		w.awaitAnalysis(it)
		if isUnattended(it.ref, it.health) && time.Since(w.began) >= w.grace {
			it.health.Message = "no controller has reported a status: the deploy does not wait for it"
			it.done = true
			return
		}
		if it.done = it.health.Status == object.Current && w.settled(ctx, it); !it.done && !it.settling {
			w.diagnose(ctx, it)
		}
	}
}

// isLate says that an object should be healthy when the timeout is over.
func (w *waiter) isLate(it *item) bool { return !it.settling && !w.isGuided(it) }

func isDenied(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }

// vanish notes that the object does not exist. A Job with a TTL vanishes after success, so its absence counts
// as done.
func (it *item) vanish() {
	if it.ref.Kind == "Job" && it.desired.At("spec", "ttlSecondsAfterFinished") != nil {
		it.health = object.Health{Status: object.Current, Message: "finished, and deleted after its TTL"}
		it.done = true
		return
	}
	it.health = object.Health{Status: object.NotFound, Message: "does not exist"}
	it.add(symptom{reason: "NotFound", message: "the object does not exist", after: standGone})
}

// news tells the listener what changed. When an object has become healthy, those that crashed meanwhile may
// have waited for it, and get another start.
func (w *waiter) news() {
	healthier := false
	for _, it := range w.items {
		if it.err != nil {
			continue
		}
		seen := it.told != object.Health{}
		healthier = healthier || seen && it.done && !it.wasDone
		it.wasDone = it.done
		now := it.health
		if it.waitsFor != "" && !it.done {
			now.Message += ": " + it.waitsFor
		}
		if it.told != now && w.notify != nil {
			w.notify(Progress{Ref: it.ref, Status: now.Status, Message: clean(now.Message, w.secrets)})
		}
		it.told = now
	}
	for _, it := range w.items {
		if healthier && !it.done {
			it.recount()
		}
	}
}

// verdict returns the objects that will not become healthy by themselves, and all that are not healthy. A
// crash, or a Secret that does not exist, counts only when nothing else is in progress: an application that
// starts before its database crashes until the database is ready, and a Job may make the Secret.
func (w *waiter) verdict() (failed, pending []*item) {
	var waiting []*item
	for _, it := range w.items {
		if it.done {
			continue
		}
		pending = append(pending, it)
		switch {
		case slices.ContainsFunc(it.final, func(s symptom) bool { return !s.waits() }):
			failed = append(failed, it)
		case len(it.final) > 0:
			waiting = append(waiting, it)
		}
	}
	if len(failed) > 0 || len(waiting) == len(pending) {
		failed = append(failed, waiting...)
	}
	return failed, pending
}

// report collects the evidence. The timeout that led to it must not cut it short.
func (w *waiter) report(ctx context.Context, failed, pending []*item, timeout bool) error {
	evidence := make([][]Evidence, len(failed))
	short, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	cluster.Each(len(failed), func(i int) { evidence[i] = w.evidence(short, failed[i]) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &NotHealthyError{Timeout: timeout, Failures: slices.Concat(evidence...)}
	for _, it := range failed {
		if it.err != nil {
			e.Err = w.c.Explain(ctx, "get", it.ref, it.err)
		}
		if isDenied(it.err) {
			return e.Err
		}
	}
	for _, it := range pending {
		if timeout || !slices.Contains(failed, it) {
			e.Waiting = append(e.Waiting, it.ref)
		}
	}
	return e
}

// WaitServed waits for the definitions and namespaces among the objects, so that objects that need them can
// be applied. A kind is served a moment after its definition says so.
func WaitServed(ctx context.Context, c *cluster.Cluster, applied ...object.Object) error {
	var ground object.Set
	for _, o := range applied {
		if k := o.Ref().Kind; k == "Namespace" || k == "CustomResourceDefinition" {
			if err := ground.Add(o); err != nil {
				return err
			}
		}
	}
	until, cancel := context.WithTimeout(ctx, servedTime)
	defer cancel()
	if err := Wait(ctx, c, ground, Options{Timeout: servedTime}); err != nil {
		return err
	}
	for kind, d := range cluster.DefinedKinds(ground) {
		for {
			err := c.Serves(until, kind)
			if err == nil {
				break
			}
			if !cluster.Sleep(until, pollFast) {
				return fmt.Errorf("wait for %s to be served: %w", d.Ref, err)
			}
		}
	}
	return nil
}
