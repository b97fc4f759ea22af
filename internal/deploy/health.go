package deploy

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

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
