package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/cluster"
	"slipway/internal/object"
)

// loopTime is how short the runs of a crash loop are: after a longer one the kubelet starts to count afresh.
const loopTime = 10 * time.Minute

// CrashLoop returns the first of some live workloads whose pods restart again and again, and how: between two
// crashes such a workload is ready. Who may not list pods finds none.
func CrashLoop(ctx context.Context, c *cluster.Cluster, workloads []object.Object) (object.Ref, string) {
	pods := map[string][]corev1.Pod{}
	for _, live := range workloads {
		ref := live.Ref()
		if _, _, runs := live.PodSpec(); !runs || ref.Kind == "Job" || ref.Kind == "CronJob" {
			continue
		}
		if _, known := pods[ref.Namespace]; !known {
			list, err := c.Typed().CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				return object.Ref{}, ""
			}
			pods[ref.Namespace] = list.Items
		}
		selected := podsOf(live, pods[ref.Namespace])
		for i := range selected {
			if text := loops(&selected[i], time.Now()); text != "" {
				return ref, text
			}
		}
	}
	return object.Ref{}, ""
}

func podsOf(live object.Object, pods []corev1.Pod) []corev1.Pod {
	selector, err := selectorOf(live)
	if err != nil || selector == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || !selector.Matches(labels.Set(p.Labels))
	})
}

// loops says how a pod restarts, if it has done so twice, lately, and after short runs.
func loops(pod *corev1.Pod, now time.Time) string {
	for _, st := range statuses(pod) {
		last := st.State.Terminated
		if last == nil {
			last = st.LastTerminationState.Terminated
		}
		if last == nil || st.RestartCount < 2 || now.Sub(last.FinishedAt.Time) > loopTime ||
			last.FinishedAt.Sub(last.StartedAt.Time) > loopTime {
			continue
		}
		return fmt.Sprintf("the container %s of the pod %s restarted %d times, the last time after exit code %d",
			st.Name, pod.Name, st.RestartCount, last.ExitCode)
	}
	return ""
}
