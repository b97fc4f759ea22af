package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster"
)

const (
	nodeDown = "NodeNotReady"
	// silentAfter is how long a kubelet may take to report a pod, or its end after the grace period.
	silentAfter = 30 * time.Second
	// nodePause is how long a wait must last before nodes are read, and how often.
	nodePause = 5 * time.Second
)

// nodeLook is what was last found of a node: since when it does not answer, if it does not.
type nodeLook struct {
	at, since time.Time
	message   string
}

// readNodes finds pods whose node does not answer: new ones that are not ready, and those that must go first.
// Their own status is the last word of a dead kubelet. The node may come back, so the symptom ends no wait.
func (w *waiter) readNodes(ctx context.Context, it *item, unready, before []corev1.Pod) {
	if time.Since(w.began) < nodePause {
		return // most pods are only starting
	}
	for i := range unready {
		if s, ok := w.deadNode(ctx, it, &unready[i]); ok {
			it.symptoms = append([]symptom{s}, it.symptoms...)
			return
		}
	}
	for i := range before[:min(len(before), maxPods)] {
		if s, ok := w.deadNode(ctx, it, &before[i]); ok {
			it.add(s)
			return
		}
	}
}

// deadNode reads the node of a pod where the pod is silent. Without the permission the pod itself tells.
func (w *waiter) deadNode(ctx context.Context, it *item, pod *corev1.Pod) (symptom, bool) {
	name := pod.Spec.NodeName
	if name == "" {
		return symptom{}, false
	}
	look, known := it.nodes[name]
	if now := time.Now(); !known || now.Sub(look.at) >= nodePause {
		look = nodeLook{at: now}
		node, err := w.c.Typed().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			look.since, look.message = downSince(node)
		} else if at, message := silentSince(pod, now); message != "" {
			look.since, look.message = at, message
		}
		if it.nodes == nil {
			it.nodes = map[string]nodeLook{}
		}
		it.nodes[name] = look
	}
	if look.message == "" {
		return symptom{}, false
	}
	it.waitsFor = "waiting for the node " + name
	return symptom{
		pod: pod, reason: nodeDown, message: look.message, downSince: look.since, after: hopeful,
	}, true
}

func downSince(node *corev1.Node) (time.Time, string) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return c.LastTransitionTime.Time, fmt.Sprintf("%s: %s", c.Reason, c.Message)
		}
	}
	return time.Time{}, ""
}

// silentSince says since when the kubelet of a pod is silent, by what others wrote into the pod: the
// scheduler, the API server, and the controller that marks the pods of a dead node as not ready.
func silentSince(pod *corev1.Pod, now time.Time) (time.Time, string) {
	at := func(t corev1.PodConditionType) *corev1.PodCondition {
		i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t })
		if i < 0 {
			return &corev1.PodCondition{}
		}
		return &pod.Status.Conditions[i]
	}
	bound, ready, running := at(corev1.PodScheduled), at(corev1.PodReady), at(corev1.ContainersReady)
	switch {
	case pod.DeletionTimestamp != nil && now.Sub(pod.DeletionTimestamp.Time) > silentAfter:
		return pod.DeletionTimestamp.Time, "its kubelet has not stopped the pod"
	case pod.Status.StartTime == nil && bound.Status == corev1.ConditionTrue &&
		now.Sub(bound.LastTransitionTime.Time) > silentAfter:
		return bound.LastTransitionTime.Time, "its kubelet has not started the pod"
	case ready.Status == corev1.ConditionFalse && ready.Reason == "" && running.Status == corev1.ConditionTrue:
		return ready.LastTransitionTime.Time, "its kubelet does not report the pod any more"
	}
	return time.Time{}, ""
}

func nodeCause(d symptom) string {
	since := d.downSince.UTC().Format("2006-01-02 15:04:05 MST")
	return fmt.Sprintf("the node %s of the pod %s has not responded since %s (%s)", d.pod.Spec.NodeName,
		d.pod.Name, since, d.message)
}

// taintCause names a node that a pod selects, and the taint of it that the pod does not tolerate; "" where
// there is none, or nodes cannot be listed. The scheduler counts both kinds of nodes, and names none.
func (w *waiter) taintCause(ctx context.Context, d symptom) string {
	if d.reason != corev1.PodReasonUnschedulable || !strings.Contains(d.message, "untolerated taint") {
		return ""
	}
	for reason := range strings.SplitSeq(roomReasons(d.message), ", ") {
		if !strings.Contains(reason, "untolerated taint") && !strings.Contains(reason, "node affinity") {
			return "" // other nodes would do, and have no room
		}
	}
	nodes, _, _ := cluster.ListNodes(ctx, w.c)
	node, taint := nodes.Repels(d.pod)
	if node == "" {
		return ""
	}
	return fmt.Sprintf("the pod does not tolerate the taint %s of the node %s", taint, node)
}
