package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// standStale is how long a pod of an earlier template must be broken: it may just be starting.
const standStale = 3 * time.Second

// unstick deletes broken pods of a StatefulSet's earlier templates. The controller waits for them
// to become ready before it replaces them, which is never: without this a rollback of a StatefulSet
// hangs (kubernetes/kubernetes#67250). The pods are those that the rollout is about to delete.
func (w *waiter) unstick(ctx context.Context, it *item, stale []corev1.Pod) {
	if it.live.At("spec", "updateStrategy", "type") == "OnDelete" || partitioned(it.live) {
		return
	}
	for i := range stale {
		pod := &stale[i]
		if isReady(pod) || !isBroken(pod) {
			continue
		}
		it.add(symptom{pod: pod, reason: "RolloutStuck", after: hopeful,
			message: fmt.Sprintf("the pod %s of an earlier version is broken, and the rollout waits for it; deleting that pod lets it go on", pod.Name)})
		first, ok := it.stale[pod.UID]
		if !ok {
			it.stale[pod.UID] = time.Now()
		}
		if !ok || time.Since(first) < standStale {
			continue
		}
		err := w.c.typed.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		if apierrors.IsForbidden(err) {
			it.note = "not permitted: delete pods"
		}
	}
}

func partitioned(live object.Object) bool {
	n, _ := live.At("spec", "updateStrategy", "rollingUpdate", "partition").(int64)
	return n > 0
}

// isBroken leaves out pods that wait for a node or for their containers to be made.
func isBroken(pod *corev1.Pod) bool {
	list := podSymptoms(pod, 0, func(string, int32, bool) bool { return true })
	return slices.ContainsFunc(list, func(s symptom) bool { return s.reason != "ContainerCreating" && s.reason != "PodInitializing" })
}
