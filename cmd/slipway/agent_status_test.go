package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/internal/cluster/sandboxtest"
)

// The status of an agent comes through the API server, with the rights of an editor of its namespace. The
// real server decides on these; only the pod is not real, as simulated nodes have no network.
func TestStatusThroughTheCluster(t *testing.T) {
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	prefix, file := sandboxtest.Name("s"), filepath.Join(t.TempDir(), "kubeconfig")
	if err := shared.Project(t.Context(), prefix, file, "prod"); err != nil {
		t.Fatal(err)
	}
	var asked []string
	front := shared.Front(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/proxy/") {
				next.ServeHTTP(w, r)
				return
			}
			asked = append(asked, r.Method+" "+r.URL.Path)
			real := httptest.NewRecorder()
			next.ServeHTTP(real, r)
			if real.Code != http.StatusServiceUnavailable {
				w.WriteHeader(real.Code)
				_, _ = w.Write(real.Body.Bytes())
				return
			}
			_, _ = w.Write([]byte(`[{"environment": "prod", "verdict": "synced",
				"message": "commit 1 is release 1"}]`))
		})
	})
	service := `{"metadata": {"name": "slipway-agent"}, "spec": {"ports": [{"name": "http", "port": 9090}]}}`
	made, err := http.Post(front+"/api/v1/namespaces/"+prefix+"-prod/services", "application/json",
		strings.NewReader(service))
	if err != nil || made.StatusCode != http.StatusCreated {
		t.Fatal(made, err)
	}
	made.Body.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, regexp.MustCompile(`server: .*`).ReplaceAllString(string(text), "server: "+front))
	var out, stderr bytes.Buffer
	args := []string{"agent", "status", "--kubeconfig", file, "--context", "prod", "-n", prefix + "-prod"}
	if code := run(args, nil, &out, &stderr); code != 0 {
		t.Fatalf("code %d: %s", code, stderr.String())
	}
	if !strings.HasPrefix(out.String(), "prod  synced  commit 1 is release 1\n") {
		t.Errorf("printed %s", out.String())
	}
	want := "GET /api/v1/namespaces/" + prefix + "-prod/services/slipway-agent:http/proxy/status"
	if len(asked) != 1 || asked[0] != want {
		t.Errorf("asked %q", asked)
	}
}
