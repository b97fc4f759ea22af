package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

const (
	// maxPods bounds the pods of a workload that are examined: all pods of one template fail for the same
	// reason.
	maxPods = 3
	// eventPause bounds how often events are listed.
	eventPause = 2 * time.Second
	// standStale is how long a pod of an earlier template must be broken: it may be starting.
	standStale = 3 * time.Second
)

// diagnose collects the symptoms of an object that is not healthy.
func (w *waiter) diagnose(ctx context.Context, it *item) {
	if it.health.Status != object.Current {
		it.healthyAt, it.stable = time.Time{}, false
	}
	generation, _ := it.live.At("metadata", "generation").(int64)
	observed, ok := it.live.At("status", "observedGeneration").(int64)
	if (ok || it.ref.Group == "apps") && observed < generation {
		// Whatever the status says, it says of the state before the change, and so do the pods. A workload that
		// its controller has never seen has none.
		return
	}
	it.note = ""
	it.symptoms = ownSymptoms(it.live, it.health)
	v, err := view(ctx, w.lists, it.live)
	if err != nil {
		it.note = unseen("pods", err)
		return
	}
	if it.hasOldPulls(v.pods) { // and what follows from them
		for i := range it.symptoms {
			it.symptoms[i].after = hopeful
		}
	}
	pods := newestUnready(v.pods)
	for i := range pods {
		it.symptoms = append(it.symptoms, it.podSymptoms(&pods[i], w.grace, len(v.leaving) > 0)...)
	}
	w.unstick(ctx, it, v.stale)
	if v.create != "" {
		it.add(createSymptom(v.create, w.grace))
	}
	w.readEvents(ctx, it, pods, v.hosts)
	// A StatefulSet waits for its broken pods, and for those that are to end.
	w.readNodes(ctx, it, pods, slices.Concat(newestUnready(v.stale), v.leaving))
	w.saveEvidence(ctx, it)
}

// podSymptoms adds what depends on the workload: a Job decides itself when it gives up, terminating pods make
// room for new ones, and an old pull is retried.
func (it *item) podSymptoms(pod *corev1.Pod, grace time.Duration, going bool) []symptom {
	list := podSymptoms(pod, grace, func(container string, restarts int32, waiting bool) bool {
		return it.crashes(containerKey(pod, container), restarts, waiting)
	})
	for i, s := range list {
		old := s.reason == "ImagePullBackOff" && it.oldPulls[containerKey(pod, s.container)] != ""
		if old || s.crash && it.ref.Kind == "Job" || s.reason == corev1.PodReasonUnschedulable && going {
			list[i].after, list[i].crash = hopeful, false
		}
	}
	return list
}

// ownSymptoms returns what the status of the object says.
func ownSymptoms(live object.Object, h object.Health) []symptom {
	kind := live.Ref().Kind
	switch {
	case h.Status == object.Failed:
		reason, message, found := strings.Cut(h.Message, ": ")
		if !found || strings.Contains(reason, " ") {
			reason, message = "Failed", h.Message
		}
		s := symptom{reason: reason, message: message, after: standStatus}
		if kind == "Job" {
			s.after = 0
		}
		return []symptom{s}
	case h.Status == object.Terminating:
		return []symptom{{reason: "Terminating", message: h.Message, after: standGone}}
	case kind == "Deployment" && live.At("spec", "paused") == true && h.Status == object.InProgress:
		return []symptom{{reason: "DeploymentPaused", message: h.Message, after: standStatus}}
	}
	return nil
}

// newestUnready returns a few pods that are not ready, newest first.
func newestUnready(pods []corev1.Pod) []corev1.Pod {
	list := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || isReady(&p)
	})
	slices.SortStableFunc(list, func(a, b corev1.Pod) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return list[:min(len(list), maxPods)]
}

// readEvents finds what only events say: missing volumes, and rejected pods of a workload that has no
// condition for it.
func (w *waiter) readEvents(ctx context.Context, it *item, pods []corev1.Pod, hosts []types.UID) {
	starting := slices.IndexFunc(pods, func(p corev1.Pod) bool { return isStarting(&p) })
	silent := len(pods) == 0 && it.ref.Kind != "Deployment" && it.health.Status == object.InProgress
	if starting < 0 && !silent {
		return
	}
	if time.Since(it.eventsAt) >= eventPause {
		it.eventsAt, it.fromEvents = time.Now(), nil
		if silent {
			list, _ := events(ctx, w.c.Typed(), it.ref.Namespace, hosts...)
			it.fromEvents = refused(list, w.began, w.grace)
		} else {
			list, _ := events(ctx, w.c.Typed(), it.ref.Namespace, pods[starting].UID)
			it.fromEvents = mountSymptoms(&pods[starting], list)
		}
	}
	it.symptoms = append(slices.Clone(it.fromEvents), it.symptoms...)
}

// awaitScaleUp withdraws the verdict on an unschedulable pod when an autoscaler adds a node for it.
func (w *waiter) awaitScaleUp(ctx context.Context, it *item) {
	it.final = slices.DeleteFunc(it.final, func(s symptom) bool {
		if s.reason != corev1.PodReasonUnschedulable {
			return false
		}
		events, _ := events(ctx, w.c.Typed(), s.pod.Namespace, s.pod.UID)
		return slices.ContainsFunc(events, func(e corev1.Event) bool {
			return e.Reason == "TriggeredScaleUp" || e.Reason == "Nominated"
		})
	})
}

// saveEvidence saves the evidence of a Job's pod before the Job controller deletes the pod.
func (w *waiter) saveEvidence(ctx context.Context, it *item) {
	if it.ref.Kind != "Job" {
		return
	}
	for _, s := range it.symptoms {
		if s.pod != nil && s.exit != nil && (it.gonePod == nil || it.gonePod.Pod != s.pod.Name ||
			it.gonePod.Restarts != s.restarts) {
			e := w.explain(ctx, it, s, s)
			it.gonePod = &e
			return
		}
	}
}

// unstick deletes broken pods of a StatefulSet's earlier templates. The controller waits until they are ready
// before it replaces them, which never happens: a rollback of a StatefulSet would hang
// (kubernetes/kubernetes#67250). The rollout is about to delete these pods anyway.
func (w *waiter) unstick(ctx context.Context, it *item, stale []corev1.Pod) {
	partition, _ := it.live.At("spec", "updateStrategy", "rollingUpdate", "partition").(int64)
	if it.live.At("spec", "updateStrategy", "type") == "OnDelete" || partition > 0 {
		return
	}
	for i := range stale {
		pod := &stale[i]
		if isReady(pod) || !isBroken(pod) {
			continue
		}
		it.add(symptom{pod: pod, reason: "RolloutStuck", after: hopeful,
			message: fmt.Sprintf("the pod %s of an earlier version is broken, and the rollout waits for it: "+
				"it continues when that pod is deleted", pod.Name)})
		if it.brokenAt == nil {
			it.brokenAt = map[types.UID]time.Time{}
		}
		if _, ok := it.brokenAt[pod.UID]; !ok {
			it.brokenAt[pod.UID] = time.Now()
		}
		if time.Since(it.brokenAt[pod.UID]) < standStale {
			continue
		}
		err := w.c.Typed().CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name,
			metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		if apierrors.IsForbidden(err) {
			it.note = "not permitted: delete pods"
		}
	}
}

func unseen(what string, err error) string {
	if apierrors.IsForbidden(err) {
		return what + " not permitted: " + err.Error()
	}
	return fmt.Sprintf("%s not read: %v", what, err)
}
