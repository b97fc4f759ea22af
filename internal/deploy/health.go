package deploy

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// found says which workload of the latest release is down, or restarts again and again, although the release
// was recorded as healthy. A workload that is merely busy, such as one that scales, does not count.
func found(ctx context.Context, t Target, p Proposal) *release.Found {
	if p.Latest.Status != release.Healthy {
		return nil
	}
	var running []object.Object
	for _, o := range p.Observed {
		_, ours := p.Latest.Objects.Get(o.Ref)
		if !ours || o.Live.Body == nil || !o.Live.Blocking() {
			continue
		}
		if h := o.Live.Health(); h.Status == object.Failed || isUnavailable(o.Live) {
			return &release.Found{Revision: p.Latest.Revision, Message: fmt.Sprintf("%s: %s", o.Ref, h.Message)}
		}
		running = append(running, o.Live)
	}
	if p.Plan.Empty() {
		return nil // nothing is deployed that may have to go back
	}
	if ref, text := rollout.CrashLoop(ctx, t.Cluster, running); text != "" {
		return &release.Found{Revision: p.Latest.Revision, Message: fmt.Sprintf("%s: %s", ref, text)}
	}
	return nil
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

// Health returns whether a release is healthy, and a few words about why not.
func Health(ctx context.Context, t Target, rel release.Release) (bool, string, error) {
	if rel.Status == release.Deleted {
		return false, "deleted", nil
	}
	var refs []object.Ref
	for _, o := range rel.Objects.Objects() {
		if !o.IsHook() { // hooks have run, and may be deleted
			refs = append(refs, o.Ref())
		}
	}
	states, err := rollout.Health(ctx, t.Cluster, refs)
	if err != nil {
		return false, "unknown", err
	}
	bad, first := 0, ""
	for _, s := range states {
		if obj, _ := rel.Objects.Get(s.Ref); s.Health.Status == object.NotFound && hasTTL(obj) ||
			slices.Contains(rel.Kept, s.Ref) {
			continue
		}
		// An object that a deploy does not wait for does not count.
		if s.Health.Status == object.Current || !s.Blocking {
			continue
		}
		if bad++; first == "" {
			first = fmt.Sprintf("%s: %s", s.Ref, s.Health.Message)
		}
	}
	switch {
	case bad > 1:
		return false, fmt.Sprintf("%s (and %d more)", first, bad-1), nil
	case bad == 1:
		return false, first, nil
	case rel.Status == release.Healthy:
		return true, "healthy", nil
	}
	return false, string(rel.Status), nil
}
