package sandboxtest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"

	"slipway/internal/image/imagetest"
	"slipway/internal/object"
)

var shared struct {
	sync.Once
	*Sandbox
	err error
}

// Main runs a package's tests, and stops the sandbox that they have started.
func Main(m *testing.M) {
	code := m.Run()
	if shared.Sandbox != nil {
		shared.Stop()
	}
	os.Exit(code)
}

// Shared is the sandbox of a package's tests. The first test that asks for it starts it.
func Shared(t *testing.T) *Sandbox {
	t.Helper()
	shared.Do(func() { shared.Sandbox, shared.err = Start(t.Context()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.Sandbox
}

// Place is a namespace of a test's own.
type Place struct {
	// Kubeconfig has the context "test", whose user may edit Namespace alone, and "admin", who may do anything.
	Kubeconfig, Namespace string
	// Image exists, and runs on the sandbox's nodes.
	Image string
}

// NewPlace makes the namespace, its user and the image.
func NewPlace(t *testing.T) Place {
	t.Helper()
	s, prefix := Shared(t), Name("place")
	p := Place{
		Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), Namespace: prefix + "-test",
		Image: "ghcr.io/" + prefix + "/app:v1",
	}
	if err := s.Project(t.Context(), prefix, p.Kubeconfig, "test"); err != nil {
		t.Fatal(err)
	}
	imagetest.Push(s.Registry+"/"+prefix+"/app:v1", imagetest.Image(256, runtime.GOARCH, nil))
	return p
}

// Parse reads manifests. It replaces $IMAGE and $NAMESPACE, and puts namespaced objects into the namespace.
func (p Place) Parse(t *testing.T, text string) object.Set {
	t.Helper()
	text = strings.NewReplacer("$IMAGE", p.Image, "$NAMESPACE", p.Namespace).Replace(text)
	list, err := object.Read(strings.NewReader(text), "k8s/app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var set object.Set
	for _, o := range list {
		ref := o.Ref()
		if ref.Namespace == "" && ref.Kind != "Namespace" && ref.Kind != "CustomResourceDefinition" {
			o = o.Detached()
			o.Body["metadata"].(map[string]any)["namespace"] = p.Namespace
		}
		if err := set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

// Front puts a handler in front of the API server, and returns its URL. A request that names no user is of
// the administrator.
func (s *Sandbox) Front(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	cfg, err := s.Admin()
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wrap(&httputil.ReverseProxy{
		Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Through puts a handler in front of the API server, and returns a kubeconfig whose context "proxy" reaches
// it as the administrator.
func Through(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	s := Shared(t)
	front := s.Front(t, wrap)
	out, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	extensions := out.Clusters[out.Contexts["admin"].Cluster].Extensions
	out.Clusters["proxy"] = &clientapi.Cluster{Server: front, Extensions: extensions}
	out.Contexts["proxy"] = &clientapi.Context{Cluster: "proxy"}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*out, kubeconfig); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
