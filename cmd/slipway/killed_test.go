package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"slipway/internal/cluster/faultproxy"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/image/imagetest"
)

// Guarantee 5, write by write: slipway is killed before the API server has the n-th write of a deploy, or
// when it has answered and slipway does not know. The next deploy ends in the state that the source
// describes, leaves nothing over, and the record says what was interrupted. So it is with an upgrade and with
// a first deploy, to a namespace that does not exist. `make faults` tries both for each write.
func TestKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		name         string
		first, after bool
	}{
		{"upgrade, before the server has it", false, false},
		{"upgrade, after the server has answered", false, true},
		{"first deploy, before the server has it", true, false},
		{"first deploy, after the server has answered", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, c.first)
			if !c.first {
				v.round(t)
				v.deploy(t)
			}
			v.round(t)
			v.deploy(t)
			last, step := v.writes.Load(), int64(2)
			if os.Getenv("SLIPWAY_FAULT_SEEDS") != "" {
				last, step = last+1, 1 // the eleventh release deletes the record of the first
			}
			for n := 1 + int64(i)%step; n <= last; n += step {
				v.round(t)
				v.kill(t, n, c.after)
				v.check(t, n, v.deploy(t))
			}
		})
	}
}

// victim is a project whose slipway is killed at a write.
type victim struct {
	dir, prefix string
	namespace   string
	env         []string
	admin       kubernetes.Interface
	rounds      int
	first       bool // each round is another project and namespace

	writes  atomic.Int64 // of the running slipway
	at      atomic.Int64 // the write at which it is killed; 0: none
	after   atomic.Bool
	hangs   atomic.Bool // discovery is not answered
	process atomic.Pointer[os.Process]
	killed  chan string // the request
}

func newVictim(t *testing.T, first bool) *victim {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	v := &victim{
		dir: filepath.Join(t.TempDir(), "web"), prefix: sandboxtest.Name("k"), killed: make(chan string, 1),
		first: first,
	}
	v.namespace = v.prefix + "-prod"
	kubeconfig := filepath.Join(filepath.Dir(v.dir), "kubeconfig")
	if err := shared.Project(t.Context(), v.prefix, kubeconfig, "prod"); err != nil {
		t.Fatal(err)
	}
	cfg, err := shared.Admin()
	if err != nil {
		t.Fatal(err)
	}
	v.admin = kubernetes.NewForConfigOrDie(cfg)
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(string(text), cfg.Host, shared.Front(t, v.front)))
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := imagetest.Push(shared.Registry+"/"+v.prefix+"/web:v1", imagetest.Image(256, runtime.GOARCH, nil))
	if err := os.CopyFS(v.dir, os.DirFS(filepath.Join(sourceDir, "testdata", "killed"))); err != nil {
		t.Fatal(err)
	}
	v.edit(t, "k8s/web.yaml", "image: IMAGE", "image: ghcr.io/"+v.prefix+"/web@"+digest)
	v.env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+filepath.Dir(v.dir),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	if first {
		v.edit(t, "slipway.yaml", "{path: k8s}", "{path: k8s, context: admin, namespace: NAMESPACE-0}")
		v.edit(t, "k8s/kustomization.yaml", "- web.yaml", "- web.yaml\n  - namespace.yaml")
		for _, file := range []string{"slipway.yaml", "k8s/namespace.yaml"} {
			v.edit(t, file, "NAMESPACE", v.prefix)
		}
	}
	v.run(t, "git", "init", "-q", "-b", "main")
	return v
}

// front passes on, counts the writes, and kills slipway at one of them.
func (v *victim) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if v.hangs.Load() && isDiscovery(r) {
			select {
			case v.killed <- r.Method + " " + r.URL.Path:
			default: // one is enough
			}
			<-r.Context().Done()
			return
		}
		if !faultproxy.IsWrite(r) || v.writes.Add(1) != v.at.Load() {
			next.ServeHTTP(rw, r)
			return
		}
		if v.after.Load() {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		_ = v.process.Load().Kill()
		v.killed <- r.Method + " " + r.URL.Path
		panic(http.ErrAbortHandler)
	})
}

func (v *victim) edit(t *testing.T, file, before, after string) {
	t.Helper()
	path := filepath.Join(v.dir, file)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), before) {
		t.Fatalf("%s does not contain %q (%v)", path, before, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), before, after)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (v *victim) run(t *testing.T, command string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Dir, cmd.Env = v.dir, v.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", command, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// round commits the next state of the source: another generated ConfigMap, and another immutable one; for a
// first deploy also another project in another namespace.
func (v *victim) round(t *testing.T) {
	t.Helper()
	v.rounds++
	was, is := fmt.Sprint(v.rounds-1), fmt.Sprint(v.rounds)
	v.edit(t, "k8s/kustomization.yaml", "ROUND="+was, "ROUND="+is)
	v.edit(t, "k8s/web.yaml", "tides "+was, "tides "+is)
	if v.first {
		v.namespace = v.prefix + "-" + is
		v.edit(t, "slipway.yaml", "project: web"+strings.TrimPrefix(was, "0"), "project: web"+is)
		v.edit(t, "slipway.yaml", v.prefix+"-"+was, v.namespace)
		v.edit(t, "k8s/namespace.yaml", v.prefix+"-"+was, v.namespace)
	}
	v.run(t, "git", "add", "-A")
	v.run(t, "git", "commit", "-q", "-m", "round "+is)
}

// deploy returns what slipway says.
func (v *victim) deploy(t *testing.T) string {
	t.Helper()
	v.at.Store(0)
	v.writes.Store(0)
	return v.run(t, "slipway", "deploy", "prod", "--yes", "--settle", "0s")
}

// kill deploys until the n-th write.
func (v *victim) kill(t *testing.T, n int64, after bool) {
	t.Helper()
	v.writes.Store(0)
	v.after.Store(after)
	v.at.Store(n)
	cmd := exec.CommandContext(t.Context(), "slipway", "deploy", "prod", "--yes", "--settle", "0s")
	cmd.Dir, cmd.Env = v.dir, v.env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v.process.Store(cmd.Process)
	err := cmd.Wait()
	select {
	case request := <-v.killed:
		t.Logf("killed at write %d: %s", n, request)
	default:
		t.Logf("it ended before write %d: %v", n, err)
	}
}

// check looks at what is left after the n-th write and the deploy after it, which said that.
func (v *victim) check(t *testing.T, n int64, said string) {
	t.Helper()
	v.run(t, "slipway", "plan", "prod", "--exit-code")
	type release struct {
		Revision int
		Status   string
	}
	var history []release
	for line := range strings.Lines(v.run(t, "slipway", "history", "prod", "-o", "json")) {
		var r release
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		history = append(history, r)
	}
	for i, r := range history {
		known := r.Status == "healthy" || r.Status == "interrupted"
		if r.Revision != history[0].Revision-i || !known {
			t.Errorf("write %d: history %+v", n, history)
		}
	}
	if history[0].Status != "healthy" {
		t.Errorf("write %d: the newest release is %s", n, history[0].Status)
	}
	namespace, all := v.namespace, metav1.ListOptions{}
	maps, err := v.admin.CoreV1().ConfigMaps(namespace).List(t.Context(), all)
	if err != nil || len(maps.Items) != 3 { // with kube-root-ca.crt
		t.Errorf("write %d: %d ConfigMaps (%v)", n, len(maps.Items), err)
	}
	jobs, err := v.admin.BatchV1().Jobs(namespace).List(t.Context(), all)
	if err != nil || len(jobs.Items) != 0 {
		t.Errorf("write %d: %d Jobs (%v)", n, len(jobs.Items), err)
	}
	secrets, err := v.admin.CoreV1().Secrets(namespace).List(t.Context(), all)
	if err != nil || len(secrets.Items) != len(history) {
		t.Errorf("write %d: %d Secrets for %d releases (%v)", n, len(secrets.Items), len(history), err)
	}
	leases, err := v.admin.CoordinationV1().Leases(namespace).List(t.Context(), all)
	if err != nil || len(leases.Items) != 1 {
		t.Fatalf("write %d: %d Leases (%v)", n, len(leases.Items), err)
	}
	// After the outcome is recorded there is nothing to do, and no lock to take. It expires by itself.
	if leases.Items[0].Spec.HolderIdentity != nil && !strings.Contains(said, "nothing changed") {
		t.Errorf("write %d: the lock is still held", n)
	}
}
