package rollout

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/cluster"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// patience bounds the waits for what must happen. It is long, because the machine may be busy.
const patience = 3 * time.Minute

// place is a namespace of a test's own, as a user who may edit it and as the administrator.
type place struct {
	sandboxtest.Place
	editor, admin *cluster.Cluster
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := sandboxtest.NewPlace(t)
	return place{
		Place:  p,
		editor: open(t, cluster.Options{Kubeconfig: p.Kubeconfig, Context: "test"}),
		admin:  open(t, cluster.Options{Kubeconfig: p.Kubeconfig, Context: "admin", Namespace: p.Namespace}),
	}
}

func open(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// through opens the sandbox as the administrator behind a handler.
func through(t *testing.T, namespace string, wrap func(http.Handler) http.Handler) *cluster.Cluster {
	t.Helper()
	kubeconfig := sandboxtest.Through(t, wrap)
	return open(t, cluster.Options{Kubeconfig: kubeconfig, Context: "proxy", Namespace: namespace})
}

func apply(t *testing.T, c *cluster.Cluster, set object.Set) {
	t.Helper()
	for _, o := range set.Objects() {
		if err := c.Apply(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
		if o.Ref().Kind == "ResourceQuota" {
			awaitQuota(t, c, o.Ref().Namespace)
		}
	}
}

// awaitQuota waits until the server refuses a pod: it learns of a quota a moment after it was written.
func awaitQuota(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "none", Image: "none"}}}}
	for t.Context().Err() == nil {
		_, err := c.Typed().CoreV1().Pods(namespace).Create(t.Context(), pod,
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return
		}
	}
}
