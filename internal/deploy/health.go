package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// judge says what is wrong with the workloads of the latest release although it was recorded as healthy.
// found is set where one is down or restarts again and again, and unsettled also where one is busy or
// restarted a short while ago. Both are empty where all is well.
func judge(ctx context.Context, t Target, p Proposal) (found *release.Found, unsettled string) {
	if p.Latest.Status != release.Healthy {
		return nil, ""
	}
	live := running(t, p)
	for _, o := range live {
		h := t.Judge.Health(o)
		text := fmt.Sprintf("%s: %s", o.Ref(), h.Message)
		switch {
		case h.Status == object.Failed || isUnavailable(o):
			return &release.Found{Revision: p.Latest.Revision, Message: text}, text
		case h.Status != object.Current:
			unsettled = cmp.Or(unsettled, text)
		}
	}
	for _, r := range rollout.Restarts(ctx, t.Cluster, live, p.Latest.Finished, SettleTime(t)) {
		text := fmt.Sprintf("%s: %s", r.Ref, r.Text)
		if r.Loop {
			return &release.Found{Revision: p.Latest.Revision, Message: text}, text
		}
		unsettled = cmp.Or(unsettled, text)
	}
	return nil, unsettled
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

// Health returns whether a release is healthy, and a few words about why not. One restart of a container does
// not count.
func Health(ctx context.Context, t Target, rel release.Release) (bool, string, error) {
	return health(ctx, t, rel, false)
}

// health is Health; with strict, a container that restarted counts until it has run for longer than before.
func health(ctx context.Context, t Target, rel release.Release, strict bool) (bool, string, error) {
	if rel.Status == release.Deleted {
		return false, "deleted", nil
	}
	var refs []object.Ref
	for _, o := range rel.Objects.Objects() {
		if !o.IsHook() { // hooks have run, and may be deleted
			refs = append(refs, o.Ref())
		}
	}
	states, err := rollout.Health(ctx, t.Cluster, t.Judge, refs)
	if err != nil {
		return false, "unknown", err
	}
	var bad []string
	var running []object.Object
	for _, s := range states {
		if obj, _ := rel.Objects.Get(s.Ref); s.Health.Status == object.NotFound && hasTTL(obj) ||
			slices.Contains(rel.Kept, s.Ref) || !s.Blocking { // a deploy does not wait for it
			continue
		}
		if s.Health.Status == object.Current {
			running = append(running, s.Live)
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: %s", s.Ref, s.Health.Message))
	}
	for _, r := range rollout.Restarts(ctx, t.Cluster, running, rel.Finished, SettleTime(t)) {
		if strict || r.Loop {
			bad = append(bad, fmt.Sprintf("%s: %s", r.Ref, r.Text))
		}
	}
	switch {
	case len(bad) > 1:
		return false, fmt.Sprintf("%s (and %d more)", bad[0], len(bad)-1), nil
	case len(bad) == 1:
		return false, bad[0], nil
	case rel.Status == release.Healthy:
		return true, "healthy", nil
	}
	return false, string(rel.Status), nil
}
