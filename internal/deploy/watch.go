package deploy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/rollout"
	"slipway/internal/words"
)

// watch waits until the objects of a stage and of those before it are healthy, except those that the plan
// leaves alone, and those that are not applied yet. In a stage of hooks it waits for these.
func watch(ctx context.Context, r run, p Proposal, stage int, later []postponed) error {
	var unchanged, quiet []object.Ref
	var watched object.Set
	hooks := p.Plan.Stages[stage-1].Event != ""
	for _, c := range p.Plan.Changes {
		obj, ok := p.objects.Get(c.Ref)
		skip := c.Stage > stage || c.Action == plan.Skip || c.Action == plan.Keep && c.Reason != "" ||
			c.Action == plan.Run && c.Stage != stage || hooks && c.Action != plan.Run
		if !ok || skip || slices.ContainsFunc(later, func(l postponed) bool { return l.ref == c.Ref }) {
			continue
		}
		if err := watched.Add(obj); err != nil {
			return err
		}
		if c.Action == plan.Keep {
			unchanged = append(unchanged, c.Ref)
		}
		if c.Action == plan.Keep || c.Stage < stage {
			quiet = append(quiet, c.Ref)
		}
	}
	n := newNews(r.target, quiet)
	stop := n.every(ctx, remindAfter/2)
	defer stop()
	return rollout.Wait(ctx, r.target.Cluster, watched, rollout.Options{
		Judge:   r.target.Judge,
		Timeout: r.options.Timeout, Settle: settleTime(r), Unchanged: unchanged, Notify: n.hear,
		Say: r.say,
	})
}

// once returns a function that says each text once, and none of those that were said.
func once(t Target, said []string) func(string) {
	said = slices.Clone(said)
	return func(text string) {
		if !slices.Contains(said, text) {
			said = append(said, text)
			t.say(Watch, nil, "%s", text)
		}
	}
}

func settleTime(r run) time.Duration {
	if r.options.Settle != nil {
		return *r.options.Settle
	}
	return SettleTime(r.target)
}

// SettleTime returns how long a changed workload must stay ready before its release is healthy. What breaks
// seconds after its start would otherwise be recorded as healthy, and a later rollback would trust that. In a
// sandbox, which has no users, a tenth is enough.
func SettleTime(t Target) time.Duration {
	settle := map[project.Class]time.Duration{
		project.Staging: 5 * time.Second, project.Production: 15 * time.Second,
	}[t.Environment.Class]
	if _, ok := t.Cluster.Sandbox(); ok {
		settle /= 10
	}
	return settle
}

// remindAfter is how long a watch may be silent. Some CI systems cancel a job without output.
const remindAfter = 30 * time.Second

// news reports changes of objects, but not that an unchanged one is healthy. When nothing changes it says
// what the watch waits for.
type news struct {
	t Target

	mu      sync.Mutex
	quiet   map[object.Ref]bool
	waiting map[object.Ref]string
	began   time.Time
	told    time.Time
}

func newNews(t Target, unchanged []object.Ref) *news {
	now := time.Now()
	n := &news{t: t, quiet: map[object.Ref]bool{}, waiting: map[object.Ref]string{}, began: now, told: now}
	for _, ref := range unchanged {
		n.quiet[ref] = true
	}
	return n
}

func (n *news) hear(p rollout.Progress) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting[p.Ref] = p.Message
	if p.Status == object.Current {
		delete(n.waiting, p.Ref)
	}
	if p.Message == object.Unseen || p.Status == object.Current && n.quiet[p.Ref] {
		return
	}
	delete(n.quiet, p.Ref)
	n.told = time.Now()
	n.t.emit(Event{Step: Watch, Ref: &p.Ref, Message: p.Message, Current: p.Status == object.Current})
}

// remind says what the watch waits for, when nothing was said for a while.
func (n *news) remind(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 || now.Sub(n.told) < remindAfter {
		return
	}
	n.told = now
	var texts []string
	for ref, message := range n.waiting {
		texts = append(texts, fmt.Sprintf("%s (%s)", ref, message))
	}
	slices.Sort(texts)
	more := ""
	if len(texts) > 1 {
		more = fmt.Sprintf(", and %d more", len(texts)-1)
	}
	n.t.say(Watch, nil, "still waiting after %s for %s%s", words.Duration(now.Sub(n.began).Round(time.Second)),
		texts[0], more)
}

// every calls remind regularly until it is stopped.
func (n *news) every(ctx context.Context, pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				n.remind(now)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}
