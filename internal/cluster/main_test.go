package cluster

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/image/imagetest"
	"slipway/internal/object"
)

var shared struct {
	sync.Once
	*sandboxtest.Sandbox
	err error
}

// patience is how long what must come is waited for. It costs nothing where it comes, and a busy machine
// is no fault of the code.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.Sandbox != nil {
		shared.Stop()
	}
	os.Exit(code)
}

// sandbox is the test run's sandbox, started when the first test asks for it.
func sandbox(t *testing.T) *sandboxtest.Sandbox {
	t.Helper()
	shared.Do(func() { shared.Sandbox, shared.err = sandboxtest.Start(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.Sandbox
}

// place is a namespace of a test's own: as somebody who may edit it, and as somebody who may do
// everything.
type place struct {
	editor, admin *Cluster
	namespace     string
	image         string // there is such an image
}

func newPlace(t *testing.T) place {
	t.Helper()
	s := sandbox(t)
	prefix := sandboxtest.Name("cluster")
	p := place{namespace: prefix + "-test", image: "ghcr.io/" + prefix + "/app:v1"}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := s.Project(t.Context(), prefix, kubeconfig, "test"); err != nil {
		t.Fatal(err)
	}
	p.editor = open(t, Options{Kubeconfig: kubeconfig, Context: "test"})
	p.admin = open(t, Options{Kubeconfig: kubeconfig, Context: "admin", Namespace: p.namespace})
	push(s.Registry + "/" + prefix + "/app:v1")
	return p
}

func open(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// push puts a small image that runs on the nodes' platform.
func push(reference string) {
	imagetest.Push(reference, imagetest.Image(256, runtime.GOARCH, nil))
}

// parse reads manifests, with $IMAGE and $NAMESPACE filled in.
func (p place) parse(t *testing.T, text string) object.Set {
	t.Helper()
	text = strings.NewReplacer("$IMAGE", p.image, "$NAMESPACE", p.namespace).Replace(text)
	list, err := object.Read(strings.NewReader(text), "k8s/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var set object.Set
	for _, o := range list {
		if o.Ref().Namespace == "" && o.Ref().Kind != "Namespace" && o.Ref().Kind != "CustomResourceDefinition" {
			o.Body["metadata"].(map[string]any)["namespace"] = p.namespace
		}
		if err := set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func apply(t *testing.T, c *Cluster, set object.Set) {
	t.Helper()
	for _, o := range set.Objects() {
		if err := c.Apply(t.Context(), o, false); err != nil {
			t.Fatal(err)
		}
	}
}
