package cluster

import (
	"cmp"
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"slipway/internal/object"
)

// Nodes are the nodes of a cluster.
type Nodes []corev1.Node

// ListNodes lists the nodes. allowed is false when the user may not list them, as most users of a single
// namespace.
func ListNodes(ctx context.Context, c *Cluster) (nodes Nodes, allowed bool, err error) {
	// Version 0 reads from the cache of the server, and not from etcd.
	list, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if apierrors.IsForbidden(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, c.Explain(ctx, "list", object.Ref{Kind: "Node"}, err)
	}
	return list.Items, true, nil
}

// Platforms counts the nodes that a pod may run on, by platform ("linux/arm64"), as its nodeSelector,
// required affinity and tolerations say. It ignores preferences, and what nodes are short of at the moment.
func (n Nodes) Platforms(spec map[string]any) map[string]int {
	var pod corev1.PodSpec
	placing := map[string]any{}
	for _, field := range []string{"nodeSelector", "affinity", "tolerations", "nodeName"} {
		if v, ok := spec[field]; ok {
			placing[field] = v
		}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(placing, &pod); err != nil {
		return nil // the server says better what is wrong with it
	}
	may := nodeaffinity.NewRequiredNodeAffinity(pod.NodeSelector, pod.Affinity)
	count := map[string]int{}
	for _, node := range n {
		ok, err := may.Match(&node)
		_, tainted := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints,
			pod.Tolerations, isLasting, true)
		if err != nil || !ok || tainted || pod.NodeName != "" && pod.NodeName != node.Name {
			continue
		}
		if p := platformOf(node); p != "" {
			count[p]++
		}
	}
	return count
}

// isLasting says that a taint keeps pods away for good. The taints of Kubernetes itself describe a passing
// state.
func isLasting(t *corev1.Taint) bool {
	return t.Effect != corev1.TaintEffectPreferNoSchedule && !strings.HasPrefix(t.Key, "node.kubernetes.io/")
}

func platformOf(n corev1.Node) string {
	arch := cmp.Or(n.Status.NodeInfo.Architecture, n.Labels[corev1.LabelArchStable])
	if arch == "" {
		return ""
	}
	return cmp.Or(n.Status.NodeInfo.OperatingSystem, n.Labels[corev1.LabelOSStable], "linux") + "/" + arch
}

// Repels returns the first node that a pod selects and does not tolerate, with the taint; "" where there is
// none.
func (n Nodes) Repels(pod *corev1.Pod) (node, taint string) {
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	for i := range n {
		t, found := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), n[i].Spec.Taints,
			pod.Spec.Tolerations, isLasting, true)
		if fits, err := required.Match(&n[i]); err == nil && fits && found {
			return n[i].Name, t.ToString()
		}
	}
	return "", ""
}
