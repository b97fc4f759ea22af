package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
	"slipway/internal/words"
)

// startTime is how long a container without a readiness probe must have run: Kubernetes calls it ready when
// it starts, even if it exits at once.
const startTime = 3 * time.Second

// mark is what shows later that a pod restarted or was not ready for a while.
type mark struct {
	restarts int32
	readyAt  time.Time
}

// settled says whether a ready workload stayed so for long enough: a changed one for the settling time, any
// one whose containers lack a readiness probe for a moment after their start.
func (w *waiter) settled(ctx context.Context, it *item) bool {
	if it.healthyAt.IsZero() {
		it.healthyAt, it.marks = time.Now(), nil
	}
	if !w.hasStarted(ctx, it) {
		return false
	}
	if !it.settles || it.stable || !runsPods(it.live) {
		return true
	}
	it.stable = w.staysReady(ctx, it)
	it.settling = !it.stable
	switch {
	case it.stable:
		it.health.Message += fmt.Sprintf(", stable for %s", words.Duration(w.settle))
	case it.disturbed:
		it.health.Message += fmt.Sprintf(", watching for %s again: a pod restarted or was not ready",
			words.Duration(w.settle))
	default:
		it.health.Message += fmt.Sprintf(", watching for %s", words.Duration(w.settle))
	}
	return it.stable
}

// staysReady compares the pods of the workload at the end of the settling time with those at its begin. It
// looks at them twice, because a poll would miss a container that restarts within it.
func (w *waiter) staysReady(ctx context.Context, it *item) bool {
	age := time.Since(it.healthyAt)
	if it.marks != nil && age < w.settle {
		return false
	}
	v, err := view(ctx, w.lists, it.live)
	if err != nil {
		return w.overlook(it, err) && age >= w.settle
	}
	before := it.marks
	it.marks = marksOf(v.pods)
	if before == nil {
		return false
	}
	for i := range v.pods {
		if isDisturbed(&v.pods[i], before) {
			it.healthyAt, it.disturbed = time.Now(), true
			return false
		}
	}
	return true
}

func marksOf(pods []corev1.Pod) map[types.UID]mark {
	marks := map[types.UID]mark{}
	for i := range pods {
		marks[pods[i].UID] = markOf(&pods[i])
	}
	return marks
}

func markOf(pod *corev1.Pod) mark {
	var m mark
	for _, st := range statuses(pod) {
		m.restarts += st.RestartCount
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			m.readyAt = c.LastTransitionTime.Time
		}
	}
	return m
}

// isDisturbed says whether a pod restarted or was not ready since the marks were made. A pod that came later,
// because of an autoscaler or a new node, only must not have restarted.
func isDisturbed(pod *corev1.Pod, marks map[types.UID]mark) bool {
	now := markOf(pod)
	before, known := marks[pod.UID]
	return known && now != before || !known && now.restarts > 0
}

// runsPods says whether the workload keeps pods running.
func runsPods(live object.Object) bool {
	switch live.Ref().Kind {
	case "Deployment", "StatefulSet", "ReplicaSet":
		return live.At("spec", "replicas") != int64(0)
	case "DaemonSet":
		return true
	case "Pod":
		return live.At("status", "phase") == string(corev1.PodRunning)
	}
	return false
}

// hasStarted says whether the containers of a workload without a readiness probe have run for a moment, by
// the kubelet's clock or by ours.
func (w *waiter) hasStarted(ctx context.Context, it *item) bool {
	now := time.Now()
	if now.Sub(it.healthyAt) >= startTime || !lacksProbe(it.live) {
		return true
	}
	v, err := view(ctx, w.lists, it.live)
	if err != nil {
		return w.overlook(it, err)
	}
	for _, pod := range v.pods {
		for _, st := range pod.Status.ContainerStatuses {
			if st.State.Running == nil || now.Sub(st.State.Running.StartedAt.Time) < startTime {
				return false
			}
		}
	}
	return true
}

// overlook says whether the pods of a workload may not be listed: then the workload's own word counts. The
// listener hears of it.
func (w *waiter) overlook(it *item, err error) bool {
	if !isDenied(err) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unseen[unseenPods(it.ref.Namespace, err)] = true
	return true
}

// lacksProbe says whether a container of the workload has no probe that distinguishes running from ready.
func lacksProbe(live object.Object) bool {
	if n, _ := live.At("spec", "minReadySeconds").(int64); n > 0 || live.Ref().Kind == "Job" {
		return false
	}
	containers := object.Mappings(live.At("spec", "template", "spec", "containers"))
	return slices.ContainsFunc(containers, func(c map[string]any) bool { return c["readinessProbe"] == nil })
}
