package cluster_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/cluster"
)

// Any answer of a Service is a result, also an error's; a refusal of the API server is an error, and no
// redirect takes the token elsewhere.
func TestProxyGet(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	var asked []string
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		switch {
		case strings.HasSuffix(r.URL.Path, "/away"):
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/down"):
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "down for repairs")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
				"code": 403, "message": "services is forbidden"}`)
		}
	}))
	defer api.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config,
		clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}],
		users: [{name: u, user: {token: secret}}],
		contexts: [{name: x, context: {cluster: c, user: u, namespace: prod}}]}`, api.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(cluster.Options{Kubeconfig: file, Context: "x"})
	if err != nil {
		t.Fatal(err)
	}
	status, body, err := cluster.ProxyGet(t.Context(), c, "web:80", "/down?now=1")
	if err != nil || status != 503 || string(body) != "down for repairs" {
		t.Errorf("an answer of the Service: %d, %q, %v", status, body, err)
	}
	status, _, err = cluster.ProxyGet(t.Context(), c, "web.shop:http", "/away")
	if err != nil || status != 302 {
		t.Errorf("a redirect: %d, %v", status, err)
	}
	if _, _, err = cluster.ProxyGet(t.Context(), c, "web:80", "/"); err == nil {
		t.Error("a refusal of the API server is not an error")
	}
	want := []string{"/api/v1/namespaces/prod/services/web:80/proxy/down?now=1 Bearer secret",
		"/api/v1/namespaces/shop/services/web:http/proxy/away Bearer secret",
		"/api/v1/namespaces/prod/services/web:80/proxy/ Bearer secret"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q", asked)
	}
}
