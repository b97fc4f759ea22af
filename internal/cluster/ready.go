package cluster

import (
	"context"
	"slices"
	"time"

	"slipway/internal/object"
)

// settled says that a healthy workload's containers without a readiness probe have run for a
// moment, or had been healthy for that long since we look (clocks may differ).
func (w *waiter) settled(ctx context.Context, it *item) bool {
	now := time.Now()
	if it.current.IsZero() {
		it.current = now
	}
	if now.Sub(it.current) >= settle || !startsUnproved(it.live) {
		return true
	}
	v, err := w.c.view(ctx, it.live)
	if err != nil {
		return isDenied(err) // who may not see pods has nothing but the workload's own word
	}
	for _, pod := range v.pods {
		for _, st := range pod.Status.ContainerStatuses {
			if st.State.Running == nil || now.Sub(st.State.Running.StartedAt.Time) < settle {
				return false
			}
		}
	}
	return true
}

// startsUnproved says that a container of the workload has nothing that tells running from ready.
func startsUnproved(live object.Object) bool {
	switch live.Ref().Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
	default:
		return false
	}
	if n, ok := live.At("spec", "minReadySeconds").(int64); ok && n > 0 {
		return false
	}
	containers, _ := live.At("spec", "template", "spec", "containers").([]any)
	return slices.ContainsFunc(containers, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["readinessProbe"] == nil
	})
}
