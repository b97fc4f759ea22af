package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
)

const (
	// maxPods bounds how many of a workload's pods are looked at: a thousand pods of one template
	// fail for the same reason.
	maxPods = 3
	// eventPause bounds how often events are read: they come by no other way than a list.
	eventPause = 2 * time.Second
)

// examine gathers the symptoms of an object that is not healthy.
func (w *waiter) examine(ctx context.Context, it *item) {
	if it.health.Status != object.Current {
		it.current = time.Time{}
	}
	if behind(it.live) {
		return // whatever the status says, it says of the state before the change
	}
	it.note = ""
	it.symptoms = append(it.symptoms, ownSymptoms(it.live, it.health)...)
	if !hasPods(it.ref) {
		return
	}
	v, err := w.c.view(ctx, it.live)
	if err != nil {
		it.note = unseen("pods", err)
		return
	}
	if it.oldPulls(v.pods) { // and what follows from them
		for i := range it.symptoms {
			it.symptoms[i].after = hopeful
		}
	}
	pods := sickest(v.pods)
	for i := range pods {
		it.symptoms = append(it.symptoms, w.podSymptoms(it, &pods[i], v.going)...)
	}
	w.unstick(ctx, it, v.stale)
	if v.create != "" {
		it.add(createSymptom(v.create, w.grace))
	}
	w.readEvents(ctx, it, pods, v)
	w.keep(ctx, it)
}

// podSymptoms adds what depends on the workload: a Job decides on its own when it has tried often
// enough, pods that go make room for those that come, and an old pull is tried again.
func (w *waiter) podSymptoms(it *item, pod *corev1.Pod, going bool) []symptom {
	list := podSymptoms(pod, w.grace, func(container string, restarts int32, waiting bool) bool {
		return it.crashes(string(pod.UID)+"/"+container, restarts, waiting)
	})
	for i, s := range list {
		old := s.reason == "ImagePullBackOff" && it.pulls[pullKey(pod, s.container)].old
		if old || s.crash && it.ref.Kind == "Job" || s.reason == corev1.PodReasonUnschedulable && going {
			list[i].after, list[i].crash = hopeful, false
		}
	}
	return list
}

func behind(live object.Object) bool {
	generation, _ := live.At("metadata", "generation").(int64)
	observed, ok := live.At("status", "observedGeneration").(int64)
	return ok && observed < generation
}

func hasPods(ref object.Ref) bool {
	switch ref.Group + "/" + ref.Kind {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "/Pod":
		return true
	}
	return false
}

// ownSymptoms are what the object says about itself.
func ownSymptoms(live object.Object, h object.Health) []symptom {
	switch {
	case h.Status == object.Failed:
		reason, message, found := strings.Cut(h.Message, ": ")
		if !found || strings.Contains(reason, " ") {
			reason, message = "Failed", h.Message
		}
		s := symptom{reason: reason, message: message, after: standStatus}
		if live.Ref().Kind == "Job" {
			s.after = 0
		}
		return []symptom{s}
	case h.Status == object.Terminating:
		return []symptom{{reason: "Terminating", message: h.Message, after: 5 * time.Second}}
	case live.Ref().Kind == "Deployment" && live.At("spec", "paused") == true && h.Status == object.InProgress:
		return []symptom{{reason: "DeploymentPaused", message: h.Message, after: standStatus}}
	}
	return nil
}

// sickest are a few pods that are not ready, the newest first.
func sickest(pods []corev1.Pod) []corev1.Pod {
	var list []corev1.Pod
	for _, p := range pods {
		if p.Status.Phase != corev1.PodSucceeded && !isReady(&p) {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b corev1.Pod) int {
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
	return list[:min(len(list), maxPods)]
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// readEvents looks for what only events say: missing volumes, and pods that are not let in where
// the workload has no condition for it.
func (w *waiter) readEvents(ctx context.Context, it *item, pods []corev1.Pod, v podView) {
	starting := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != "" && isStarting(&p) })
	silent := len(pods) == 0 && it.ref.Kind != "Deployment" && it.health.Status == object.InProgress
	if starting < 0 && !silent {
		it.fromEvents = nil
		return
	}
	if time.Since(it.events) >= eventPause {
		it.events, it.fromEvents = time.Now(), nil
		if starting >= 0 {
			pod := &pods[starting]
			list, _ := w.c.events(ctx, pod.Namespace, pod.UID)
			it.fromEvents = mountSymptoms(pod, list)
		}
		if silent {
			list, _ := w.c.events(ctx, w.c.namespaceOf(it.ref), v.hosts...)
			it.fromEvents = append(it.fromEvents, w.refused(list)...)
		}
	}
	it.symptoms = append(it.fromEvents, it.symptoms...)
}

// refused reads FailedCreate events that are no leftovers of an earlier deploy.
func (w *waiter) refused(events []corev1.Event) []symptom {
	for _, e := range slices.Backward(events) {
		if e.Reason == "FailedCreate" && eventTime(e).After(w.began.Add(-time.Minute)) {
			return []symptom{createSymptom(e.Message, w.grace)}
		}
	}
	return nil
}

func isStarting(p *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && (s.State.Waiting.Reason == "ContainerCreating" || s.State.Waiting.Reason == "PodInitializing")
	})
}

// roomSoon takes back the verdict on a pod that fits nowhere when somebody is adding a node for it.
func (w *waiter) roomSoon(ctx context.Context, it *item) {
	it.final = slices.DeleteFunc(it.final, func(s symptom) bool {
		if s.reason != corev1.PodReasonUnschedulable {
			return false
		}
		events, _ := w.c.events(ctx, s.pod.Namespace, s.pod.UID)
		return slices.ContainsFunc(events, func(e corev1.Event) bool {
			return e.Reason == "TriggeredScaleUp" || e.Reason == "Nominated"
		})
	})
}

// keep saves what a Job's pod said before the Job controller deletes it.
func (w *waiter) keep(ctx context.Context, it *item) {
	if it.ref.Kind != "Job" {
		return
	}
	for _, s := range it.symptoms {
		if s.pod == nil || s.exit == nil || it.kept != nil && it.kept.Pod == s.pod.Name && it.kept.Restarts == s.restarts {
			continue
		}
		e := w.explain(ctx, it, s, s)
		it.kept = &e
		return
	}
}

func unseen(what string, err error) string {
	if apierrors.IsForbidden(err) {
		return what + " not permitted: " + err.Error()
	}
	return fmt.Sprintf("%s not read: %v", what, err)
}
