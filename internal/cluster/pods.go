package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// read gets one live object, once; who polls repeats it anyway.
func (c *Cluster) read(ctx context.Context, ref object.Ref) (object.Object, error) {
	ref.Namespace = c.namespaceOf(ref)
	resource, err := c.endpoint(ref, "")
	if err != nil {
		return object.Object{}, err
	}
	u, err := resource.Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return object.Object{}, err
	}
	return object.Object{Body: u.Object}, nil
}

func (c *Cluster) namespaceOf(ref object.Ref) string { return cmp.Or(ref.Namespace, c.namespace) }

// podView is what a workload's newest template has led to.
type podView struct {
	pods   []corev1.Pod // of the newest template, not being deleted
	stale  []corev1.Pod // of a StatefulSet's earlier templates, not being deleted
	going  bool         // some pod of the workload is being deleted
	create string       // why the newest ReplicaSet cannot create pods
	hosts  []types.UID  // whose events matter beside the pods': the workload, its ReplicaSet
}

// view finds the pods that the last change made. The old ones' trouble is no news.
func (c *Cluster) view(ctx context.Context, live object.Object) (podView, error) {
	ref := live.Ref()
	uid := uidOf(live)
	v := podView{hosts: []types.UID{uid}}
	if ref.Group == "" && ref.Kind == "Pod" {
		pod, err := c.typed.CoreV1().Pods(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return v, err
		}
		v.pods = []corev1.Pod{*pod}
		return v, nil
	}
	selector, err := selectorOf(live)
	if err != nil || selector == "" {
		return v, err
	}
	list, err := c.typed.CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 500})
	if err != nil {
		return v, err
	}
	newest, err := c.newest(ctx, live, selector, &v)
	if err != nil {
		return v, err
	}
	for _, pod := range list.Items {
		switch {
		case pod.DeletionTimestamp != nil:
			v.going = true
		case newest(&pod):
			v.pods = append(v.pods, pod)
		case ref.Kind == "StatefulSet" && metav1.IsControlledBy(&pod, &metav1.ObjectMeta{UID: uid}):
			v.stale = append(v.stale, pod)
		}
	}
	return v, nil
}

// newest returns the test for pods of the last template.
func (c *Cluster) newest(ctx context.Context, live object.Object, selector string, v *podView) (func(*corev1.Pod) bool, error) {
	ref, uid := live.Ref(), uidOf(live)
	owned := func(owner types.UID) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool { return metav1.IsControlledBy(p, &metav1.ObjectMeta{UID: owner}) }
	}
	switch ref.Kind {
	case "Deployment":
		rs, err := c.newestReplicaSet(ctx, ref, uid, selector)
		if err != nil || rs == nil {
			return func(*corev1.Pod) bool { return false }, err
		}
		v.hosts = append(v.hosts, rs.UID)
		for _, cond := range rs.Status.Conditions {
			if cond.Type == appsv1.ReplicaSetReplicaFailure && cond.Status == corev1.ConditionTrue {
				v.create = cond.Message
			}
		}
		return owned(rs.UID), nil
	case "StatefulSet":
		hash, _ := live.At("status", "updateRevision").(string)
		return func(p *corev1.Pod) bool {
			return owned(uid)(p) && p.Labels[appsv1.ControllerRevisionHashLabelKey] == hash
		}, nil
	case "DaemonSet":
		hash, err := c.newestRevision(ctx, ref, uid, selector)
		if err != nil {
			return nil, err
		}
		return func(p *corev1.Pod) bool {
			return owned(uid)(p) && p.Labels[appsv1.ControllerRevisionHashLabelKey] == hash
		}, nil
	}
	return owned(uid), nil
}

func (c *Cluster) newestReplicaSet(ctx context.Context, ref object.Ref, uid types.UID, selector string) (*appsv1.ReplicaSet, error) {
	list, err := c.typed.AppsV1().ReplicaSets(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var best *appsv1.ReplicaSet
	high := int64(-1)
	for i, rs := range list.Items {
		n, _ := strconv.ParseInt(rs.Annotations["deployment.kubernetes.io/revision"], 10, 64)
		if metav1.IsControlledBy(&rs, &metav1.ObjectMeta{UID: uid}) && n > high {
			best, high = &list.Items[i], n
		}
	}
	return best, nil
}

func (c *Cluster) newestRevision(ctx context.Context, ref object.Ref, uid types.UID, selector string) (string, error) {
	list, err := c.typed.AppsV1().ControllerRevisions(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", err
	}
	hash, high := "", int64(-1)
	for _, r := range list.Items {
		if metav1.IsControlledBy(&r, &metav1.ObjectMeta{UID: uid}) && r.Revision > high {
			hash, high = r.Labels[appsv1.ControllerRevisionHashLabelKey], r.Revision
		}
	}
	return hash, nil
}

func selectorOf(live object.Object) (string, error) {
	raw, ok := live.At("spec", "selector").(map[string]any)
	if !ok {
		return "", nil
	}
	data, err := json.Marshal(raw)
	if err != nil {
		return "", err
	}
	var s metav1.LabelSelector
	if err := json.Unmarshal(data, &s); err != nil {
		return "", fmt.Errorf("%s: spec.selector: %w", live.Ref(), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return "", fmt.Errorf("%s: spec.selector: %w", live.Ref(), err)
	}
	return selector.String(), nil
}

func uidOf(o object.Object) types.UID {
	s, _ := o.At("metadata", "uid").(string)
	return types.UID(s)
}
