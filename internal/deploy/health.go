package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// judge sets what is wrong with the workloads of the latest release although it was recorded as healthy:
// Found where one is down or restarts again and again, and Unsettled also where one is busy or restarted a
// short while ago. Both are empty where all is well.
func (p *Proposal) judge(ctx context.Context, t Target) {
	if p.Found, p.Unsettled = nil, ""; p.Latest.Status != release.Healthy {
		return
	}
	live := running(t, *p)
	for _, o := range live {
		h := t.Judge.Health(o)
		text := fmt.Sprintf("%s: %s", o.Ref(), h.Message)
		switch {
		case h.Status == object.Failed || isUnavailable(o):
			p.Found, p.Unsettled = &release.Found{Revision: p.Latest.Revision, Message: text}, text
			return
		case h.Status != object.Current:
			p.Unsettled = cmp.Or(p.Unsettled, text)
		}
	}
	var restarts []rollout.Restart
	restarts, p.Unseen = rollout.Restarts(ctx, t.Cluster, live, p.Latest.Finished, SettleTime(t))
	for _, r := range restarts {
		text := fmt.Sprintf("%s: %s", r.Ref, r.Text)
		if r.Loop {
			p.Found, p.Unsettled = &release.Found{Revision: p.Latest.Revision, Message: text}, text
			return
		}
		p.Unsettled = cmp.Or(p.Unsettled, text)
	}
}

// sayUnseen says what could not be looked at.
func (p Proposal) sayUnseen(t Target) {
	for _, text := range p.Unseen {
		t.say(Watch, nil, "%s", text)
	}
}

// isUnavailable says whether a workload serves with fewer pods than it must.
func isUnavailable(live object.Object) bool {
	for _, c := range object.Mappings(live.At("status", "conditions")) {
		if c["type"] == "Available" && c["status"] == "False" {
			return true
		}
	}
	ready, _ := live.At("status", "readyReplicas").(int64)
	switch live.Ref().Kind {
	case "Deployment", "StatefulSet": // with maxUnavailable 100% none at all is still called available
		return ready == 0 && live.At("spec", "replicas") != int64(0)
	case "DaemonSet":
		n, _ := live.At("status", "numberAvailable").(int64)
		wanted, _ := live.At("status", "desiredNumberScheduled").(int64)
		return n == 0 && wanted > 0
	}
	return false
}

// Condition is whether a release is healthy, a few words about why not, and what was not looked at.
type Condition struct {
	Healthy bool
	Text    string
	Unseen  []string
	// Since is when an object turned bad, by its conditions; zero: they do not say so.
	Since time.Time
}

// Health returns the condition of a release. One restart of a container does not count, and neither does what
// other controllers keep: a store that fails does not take the release back.
func Health(ctx context.Context, t Target, rel release.Release) (Condition, error) {
	return health(ctx, t, rel, false)
}

// health is Health; with strict, a container that restarted counts until it has run for longer than before,
// and external objects count, too.
func health(ctx context.Context, t Target, rel release.Release, strict bool) (Condition, error) {
	if rel.Status == release.Deleted {
		return Condition{Text: "deleted"}, nil
	}
	states, err := rollout.Health(ctx, t.Cluster, t.Judge, steady(rel))
	if err != nil {
		return Condition{Text: "unknown"}, err
	}
	var bad []string
	var since time.Time
	var running []object.Object
	for _, s := range states {
		if obj, _ := rel.Objects.Get(s.Ref); s.Health.Status == object.NotFound && hasTTL(obj) ||
			slices.Contains(rel.Kept, s.Ref) || !s.Blocking || // a deploy does not wait for it
			s.Ref.IsExternal() && !strict {
			continue
		}
		if s.Health.Status == object.Current {
			if s.Live.Body != nil {
				running = append(running, s.Live)
			}
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: %s", s.Ref, s.Health.Message))
		if at := lastChange(s.Live); since.IsZero() || !at.IsZero() && at.Before(since) {
			since = at
		}
	}
	restarts, unseen := rollout.Restarts(ctx, t.Cluster, running, rel.Finished, SettleTime(t))
	for _, r := range restarts {
		if strict || r.Loop {
			bad = append(bad, fmt.Sprintf("%s: %s", r.Ref, r.Text))
		}
	}
	c := Condition{Text: string(rel.Status), Unseen: unseen, Since: since}
	switch {
	case len(bad) > 1:
		c.Text = fmt.Sprintf("%s (and %d more)", bad[0], len(bad)-1)
	case len(bad) == 1:
		c.Text = bad[0]
	case rel.Status == release.Healthy:
		c.Healthy = true
	}
	return c, nil
}

// lastChange is when a condition of an object last changed; zero: it has none that says so.
func lastChange(live object.Object) (last time.Time) {
	conditions, _ := live.At("status", "conditions").([]any)
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		text, _ := condition["lastTransitionTime"].(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil && at.After(last) {
			last = at
		}
	}
	return last
}
