package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// loopTime is how short the runs of a crash loop are: after a longer one the kubelet starts to count afresh.
const loopTime = 10 * time.Minute

// Restart says that a container of a workload restarted a short while ago: it may be running and ready now,
// and end again.
type Restart struct {
	Ref object.Ref
	// Text says which container restarted, how often and why.
	Text string
	// Loop: it restarts again and again.
	Loop bool
	// Left is how long the container must still run to have run for longer than before.
	Left time.Duration
}

// Restarts finds the live workloads of which a container restarted since a time, one Restart each. A restart
// no longer counts when the container has run for longer than before it, and for the settling time; one of a
// crash loop counts for ten minutes. unseen says which namespaces' pods could not be listed, and why, one
// sentence each.
func Restarts(
	ctx context.Context, c *cluster.Cluster, workloads []object.Object, since time.Time, settle time.Duration,
) (found []Restart, unseen []string) {
	pods := map[string][]corev1.Pod{}
	for _, live := range workloads {
		ref := live.Ref()
		if !runsPods(live) {
			continue
		}
		if _, known := pods[ref.Namespace]; !known {
			list, err := c.Typed().CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				unseen = append(unseen, unseenPods(ref.Namespace, err))
				list = &corev1.PodList{}
			}
			pods[ref.Namespace] = list.Items
		}
		if r, ok := worst(podsOf(live, pods[ref.Namespace]), since, settle); ok {
			r.Ref = ref
			found = append(found, r)
		}
	}
	return found, unseen
}

// unseenPods says that restarts in a namespace are unknown, and why.
func unseenPods(namespace string, err error) string {
	if !isDenied(err) {
		return fmt.Sprintf("did not check containers for restarts in %s: %v", namespace, err)
	}
	what := "pods"
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.ErrStatus.Details != nil {
		what = cmp.Or(status.ErrStatus.Details.Kind, what) // of a Deployment also the ReplicaSets are listed
	}
	return fmt.Sprintf("did not check containers for restarts: listing %s in %s is not allowed. Grant `list` "+
		"on "+
		"%s to include restarts in the health", what, namespace, what)
}

// worst returns the restart of a crash loop, or else the first one.
func worst(pods []corev1.Pod, since time.Time, settle time.Duration) (worst Restart, found bool) {
	now := time.Now()
	for i := range pods {
		r, ok := restartOf(&pods[i], since, settle, now)
		if ok && (!found || r.Loop && !worst.Loop) {
			worst, found = r, true
		}
	}
	return worst, found
}

// podsOf returns the pods that a workload or its ReplicaSets control.
func podsOf(live object.Object, pods []corev1.Pod) []corev1.Pod {
	ref := live.Ref()
	if ref.Kind == "Pod" {
		return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Name != ref.Name })
	}
	selector, err := selectorOf(live)
	if err != nil || selector == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		controller := metav1.GetControllerOf(&p)
		isOurs := controller != nil && (controller.UID == uidOf(live) ||
			ref.Kind == "Deployment" && controller.Kind == "ReplicaSet")
		return !isOurs || p.DeletionTimestamp != nil || !selector.Matches(labels.Set(p.Labels))
	})
}

// restartOf returns the last restart of a pod's containers that counts.
func restartOf(pod *corev1.Pod, since time.Time, settle time.Duration, now time.Time) (Restart, bool) {
	for i, st := range statuses(pod) {
		last := st.State.Terminated
		if last != nil && last.ExitCode == 0 && i < len(pod.Status.InitContainerStatuses) {
			continue // it has done its work
		}
		if last == nil {
			last = st.LastTerminationState.Terminated
		}
		if last == nil || st.RestartCount == 0 || last.FinishedAt.Time.Before(since) {
			continue
		}
		ran, ago := last.FinishedAt.Sub(last.StartedAt.Time), now.Sub(last.FinishedAt.Time)
		if run := st.State.Running; run != nil {
			ago = now.Sub(run.StartedAt.Time)
		}
		left := min(max(ran, settle), loopTime) - ago
		r := Restart{Loop: st.RestartCount > 1 && max(ran, ago) <= loopTime, Left: max(left, 0)}
		if !r.Loop && left <= 0 {
			continue
		}
		times := "1 time"
		if st.RestartCount > 1 {
			times = fmt.Sprintf("%d times", st.RestartCount)
		}
		r.Text = fmt.Sprintf("the container %s of the pod %s restarted %s, the last time after exit code %d",
			st.Name, pod.Name, times, last.ExitCode)
		return r, true
	}
	return Restart{}, false
}
