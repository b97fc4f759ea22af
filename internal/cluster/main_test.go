package cluster

import (
	"net/http"
	"testing"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// place is a namespace of a test's own, as a user who may edit it and as the administrator.
type place struct {
	sandboxtest.Place
	editor, admin *Cluster
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := sandboxtest.NewPlace(t)
	return place{
		Place:  p,
		editor: open(t, Options{Kubeconfig: p.Kubeconfig, Context: "test"}),
		admin:  open(t, Options{Kubeconfig: p.Kubeconfig, Context: "admin", Namespace: p.Namespace}),
	}
}

func open(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// through opens the sandbox as the administrator behind a handler.
func through(t *testing.T, namespace string, wrap func(http.Handler) http.Handler) *Cluster {
	t.Helper()
	kubeconfig := sandboxtest.Through(t, wrap)
	return open(t, Options{Kubeconfig: kubeconfig, Context: "proxy", Namespace: namespace})
}

func apply(t *testing.T, c *Cluster, set object.Set) {
	t.Helper()
	for _, o := range set.Objects() {
		if err := c.Apply(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
	}
}
