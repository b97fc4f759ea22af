package rollout

import (
	"context"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// podView is the state of the pods of one workload.
type podView struct {
	pods    []corev1.Pod // of the newest template, not being deleted
	stale   []corev1.Pod // of a StatefulSet's earlier templates, not being deleted
	leaving []corev1.Pod // of any template, being deleted
	create  string       // why the newest ReplicaSet cannot create pods
	hosts   []types.UID  // whose events matter beside the pods': the workload, its ReplicaSet
}

// view finds the pods of the last change. Trouble of older pods does not count.
func view(ctx context.Context, l *lists, live object.Object) (podView, error) {
	ref, uid := live.Ref(), uidOf(live)
	v := podView{hosts: []types.UID{uid}}
	if ref.Group == "" && ref.Kind == "Pod" {
		pod, err := l.client.CoreV1().Pods(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err == nil {
			v.pods = []corev1.Pod{*pod}
		}
		return v, err
	}
	selector, err := selectorOf(live)
	if err != nil || selector == nil {
		return v, err
	}
	pods, err := l.pods(ctx, ref.Namespace, selector)
	if err != nil {
		return v, err
	}
	newest, err := newest(ctx, l, live, selector, &v)
	for _, pod := range pods {
		switch {
		case pod.DeletionTimestamp != nil:
			v.leaving = append(v.leaving, pod)
		case newest.made(pod):
			v.pods = append(v.pods, pod)
		case ref.Kind == "StatefulSet" && controls(uid, &pod):
			v.stale = append(v.stale, pod)
		}
	}
	return v, err
}

// revision identifies a template: the owner of its pods, and the hash on them where pods of other templates
// have the same owner.
type revision struct {
	owner types.UID
	hash  string
}

func (r revision) made(pod corev1.Pod) bool {
	return controls(r.owner, &pod) &&
		(r.hash == "" || pod.Labels[appsv1.ControllerRevisionHashLabelKey] == r.hash)
}

// newest finds the last template, and adds to v what it says.
func newest(ctx context.Context, l *lists, live object.Object, selector labels.Selector, v *podView) (
	revision, error) {
	ref, uid := live.Ref(), uidOf(live)
	high := int64(-1)
	switch ref.Kind {
	case "Deployment":
		sets, err := l.replicaSets(ctx, ref.Namespace, selector)
		if err != nil {
			return revision{}, err
		}
		var newest appsv1.ReplicaSet
		for _, rs := range sets {
			n, _ := strconv.ParseInt(rs.Annotations["deployment.kubernetes.io/revision"], 10, 64)
			if controls(uid, &rs) && n > high {
				newest, high = rs, n
			}
		}
		v.hosts = append(v.hosts, newest.UID)
		for _, cond := range newest.Status.Conditions {
			if cond.Type == appsv1.ReplicaSetReplicaFailure && cond.Status == corev1.ConditionTrue {
				v.create = cond.Message
			}
		}
		return revision{owner: newest.UID}, nil
	case "StatefulSet":
		hash, _ := live.At("status", "updateRevision").(string)
		return revision{owner: uid, hash: hash}, nil
	case "DaemonSet":
		list, err := l.client.AppsV1().ControllerRevisions(ref.Namespace).List(ctx,
			metav1.ListOptions{LabelSelector: selector.String()})
		if err != nil {
			return revision{}, err
		}
		newest := revision{owner: uid}
		for _, r := range list.Items {
			if controls(uid, &r) && r.Revision > high {
				newest.hash, high = r.Labels[appsv1.ControllerRevisionHashLabelKey], r.Revision
			}
		}
		return newest, nil
	}
	return revision{owner: uid}, nil
}

func controls(owner types.UID, o metav1.Object) bool {
	return metav1.IsControlledBy(o, &metav1.ObjectMeta{UID: owner})
}

// selectorOf returns the selector of a workload; nil where it selects nothing.
func selectorOf(live object.Object) (labels.Selector, error) {
	raw, _ := live.At("spec", "selector").(map[string]any)
	var selector metav1.LabelSelector
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &selector)
	if err != nil || raw == nil {
		return nil, err
	}
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return nil, fmt.Errorf("%s: spec.selector: %w", live.Ref(), err)
	}
	if s.Empty() {
		return nil, nil
	}
	return s, nil
}

func uidOf(o object.Object) types.UID {
	s, _ := o.At("metadata", "uid").(string)
	return types.UID(s)
}
