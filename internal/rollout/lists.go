package rollout

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// few is up to how many workloads of a namespace the pods of each are listed by themselves. For more of them
// one list of the namespace is cheaper.
const few = 4

// lists reads the pods and ReplicaSets of workloads. Those of a namespace with many workloads that are not
// healthy are read once.
type lists struct {
	client kubernetes.Interface
	// pending counts the workloads of a namespace that are not healthy.
	pending map[string]int
	made    time.Time

	mu   sync.Mutex
	once map[string]*namespaceLists
}

// namespaceLists are all pods and ReplicaSets of a namespace.
type namespaceLists struct {
	pods func() (*corev1.PodList, error)
	sets func() (*appsv1.ReplicaSetList, error)
}

// pods lists the pods that a selector selects.
func (l *lists) pods(ctx context.Context, namespace string, selector labels.Selector) ([]corev1.Pod, error) {
	all := l.of(ctx, namespace)
	if all == nil {
		list, err := l.client.CoreV1().Pods(namespace).List(ctx, selected(selector))
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	list, err := all.pods()
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// replicaSets lists the ReplicaSets that a selector selects.
func (l *lists) replicaSets(ctx context.Context, namespace string, selector labels.Selector) (
	[]appsv1.ReplicaSet, error) {
	all := l.of(ctx, namespace)
	if all == nil {
		list, err := l.client.AppsV1().ReplicaSets(namespace).List(ctx, selected(selector))
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	list, err := all.sets()
	if err != nil {
		return nil, err
	}
	var sets []appsv1.ReplicaSet
	for _, rs := range list.Items {
		if selector.Matches(labels.Set(rs.Labels)) {
			sets = append(sets, rs)
		}
	}
	return sets, nil
}

// of returns the lists of a namespace; nil where few of its workloads need them.
func (l *lists) of(ctx context.Context, namespace string) *namespaceLists {
	if l.pending[namespace] <= few {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.once == nil {
		l.once = map[string]*namespaceLists{}
	}
	if l.once[namespace] == nil {
		l.once[namespace] = &namespaceLists{
			pods: sync.OnceValues(func() (*corev1.PodList, error) {
				return l.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
			}),
			sets: sync.OnceValues(func() (*appsv1.ReplicaSetList, error) {
				return l.client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
			}),
		}
	}
	return l.once[namespace]
}

func selected(selector labels.Selector) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: selector.String()}
}
