package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"slipway/internal/cluster/faultproxy"
	"slipway/internal/cluster/sandboxtest"
)

// The agent is killed at the n-th write to the API server, or fetch from or push to the Git server, while it
// deploys a bad commit, goes back and reverts it: before the server has the request, or when it has answered.
// The next agent ends with the good objects, an outcome of each release, and one revert on the branch.
func TestAgentKilledAtEachCall(t *testing.T) {
	t.Parallel()
	for i, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after the answer %t", after), func(t *testing.T) {
			t.Parallel()
			m := newMortal(t, after)
			for n := 1; ; n++ {
				if n%2 != i && os.Getenv("SLIPWAY_FAULT_SEEDS") == "" {
					continue // `make faults` tries both for each call
				}
				if !m.round(t, n) {
					break
				}
			}
		})
	}
}

// mortal is a project of ConfigMaps, and the agent that keeps it, a process that is killed.
type mortal struct {
	dir, namespace, log string
	env                 []string
	admin               kubernetes.Interface
	after               bool
	process             *exec.Cmd
	calls, at           atomic.Int64
	killed              chan string // the request
}

const mortalProject = `project: shop
environments:
  prod: {path: k8s, class: staging}
health:
  - kind: ConfigMap
    healthy: object.data.state == 'good'
    failed: object.data.state == 'bad'
`

func newMortal(t *testing.T, after bool) *mortal {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	prefix, work := sandboxtest.Name("k"), t.TempDir()
	m := &mortal{
		dir: filepath.Join(work, "shop"), namespace: prefix + "-prod", log: filepath.Join(work, "log"),
		after: after, killed: make(chan string, 1),
	}
	kubeconfig := filepath.Join(work, "kubeconfig")
	if err := shared.Project(t.Context(), prefix, kubeconfig, "prod"); err != nil {
		t.Fatal(err)
	}
	cfg, err := shared.Admin()
	if err != nil {
		t.Fatal(err)
	}
	m.admin = kubernetes.NewForConfigOrDie(cfg)
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, kubeconfig, regexp.MustCompile(`server: .*`).ReplaceAllString(string(text),
		"server: "+shared.Front(t, m.front(isAPICall))))
	to, err := url.Parse(shared.GitServer)
	if err != nil {
		t.Fatal(err)
	}
	git := httptest.NewServer(m.front(isGitCall)(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}))
	t.Cleanup(git.Close)
	m.env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+work, "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com")
	if err := os.MkdirAll(filepath.Join(m.dir, "k8s"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(m.dir, "slipway.yaml"), mortalProject)
	path := "/" + prefix + "/shop.git"
	writeFile(t, filepath.Join(work, "agent.yaml"), fmt.Sprintf("repositories: [{url: %q, interval: 200ms, "+
		"environments: {prod: {context: prod, onDrift: repair, writeBack: push}}}]\n", git.URL+path))
	m.git(t, "init", "-q", "-b", "main")
	m.git(t, "remote", "add", "origin", shared.GitServer+path)
	m.push(t, "good", 0)
	m.start(t)
	t.Cleanup(func() {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
	})
	m.await(t, "is release 1, healthy")
	return m
}

// isAPICall is true for writes. Events, which come at any time, are not counted.
func isAPICall(r *http.Request) bool {
	return faultproxy.IsWrite(r) && !strings.HasSuffix(r.URL.Path, "/events")
}

// isGitCall is true for fetches and pushes. Polls, which come at any time, are not counted.
func isGitCall(r *http.Request) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return strings.Contains(r.URL.String(), "receive-pack") || bytes.Contains(body, []byte("command=fetch"))
}

// front passes on, counts the calls, and kills the agent at one of them.
func (m *mortal) front(counts func(*http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !counts(r) || m.calls.Add(1) != m.at.Load() {
				next.ServeHTTP(rw, r)
				return
			}
			if m.after {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			_ = m.process.Process.Kill()
			m.killed <- r.Method + " " + r.URL.Path
			panic(http.ErrAbortHandler)
		})
	}
}

func (m *mortal) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env = m.dir, m.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits the state of two ConfigMaps. The bad one is deployed to a new name, too.
func (m *mortal) push(t *testing.T, state string, round int) string {
	t.Helper()
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {state: %s, round: \"%d\"}\n"
	text := fmt.Sprintf(object, "first", "good", round)
	if state != "good" {
		text += "---\n" + fmt.Sprintf(object, "second", state, round)
	}
	writeFile(t, filepath.Join(m.dir, "k8s", "all.yaml"), text)
	m.git(t, "add", "-A")
	m.git(t, "commit", "-q", "-m", fmt.Sprintf("%s %d", state, round))
	m.git(t, "push", "-q", "origin", "main")
	return m.git(t, "rev-parse", "HEAD")
}

func (m *mortal) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(m.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.process = exec.Command("slipway", "agent", "run", "--config",
		filepath.Join(filepath.Dir(m.dir), "agent.yaml"))
	m.process.Env, m.process.Stderr = m.env, log
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
}

// says reads the log of the running agent.
func (m *mortal) says(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (m *mortal) await(t *testing.T, text string) {
	t.Helper()
	m.until(t, text, func() bool { return strings.Contains(m.says(t), text) })
}

func (m *mortal) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s; the agent says\n%s", what, m.says(t))
		}
	}
}

// round pushes a bad commit, kills the agent at the n-th call, and expects the next one to converge. It
// returns false when there were fewer calls.
func (m *mortal) round(t *testing.T, n int) bool {
	t.Helper()
	m.calls.Store(0)
	m.at.Store(int64(n))
	bad := m.push(t, "bad", n)
	request := ""
	isReverted := func() bool {
		select {
		case request = <-m.killed:
			_ = m.process.Wait()
			m.at.Store(0)
			m.start(t)
		default:
		}
		m.git(t, "fetch", "-q", "origin")
		head := m.git(t, "rev-parse", "origin/main")
		return head != bad && strings.Contains(m.says(t), "verdict=synced commit="+head)
	}
	m.until(t, fmt.Sprintf("a synced revert after call %d", n), isReverted)
	m.at.Store(0)
	m.git(t, "merge", "-q", "--ff-only", "origin/main")
	t.Logf("call %d: %s", n, request)
	m.check(t, n, bad)
	return request != ""
}

// check looks at what is left.
func (m *mortal) check(t *testing.T, n int, bad string) {
	t.Helper()
	if since := m.git(t, "log", "--format=%s", bad+"..HEAD"); strings.Contains(since, "\n") ||
		!strings.HasPrefix(since, "Revert prod to commit ") {
		t.Errorf("call %d: since the bad commit the branch has\n%s", n, since)
	}
	maps, err := m.admin.CoreV1().ConfigMaps(m.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(maps.Items) != 2 { // with kube-root-ca.crt
		t.Errorf("call %d: %d ConfigMaps (%v)", n, len(maps.Items), err)
	}
	first, err := m.admin.CoreV1().ConfigMaps(m.namespace).Get(t.Context(), "first", metav1.GetOptions{})
	if err != nil || first.Data["round"] != "0" {
		t.Errorf("call %d: %v (%v)", n, first.Data, err)
	}
	cmd := exec.CommandContext(t.Context(), "slipway", "history", "prod", "-o", "json")
	cmd.Dir, cmd.Env = m.dir, m.env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	held := false
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var r struct {
			Status, Commit string
			Quarantine     *struct{}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		held = held || r.Commit == bad && r.Quarantine != nil
		if isKnown := r.Status == "healthy" || r.Status == "failed" || r.Status == "interrupted"; !isKnown ||
			i == 0 && r.Status != "healthy" {
			t.Errorf("call %d: release %s", n, line)
		}
	}
	if !held {
		t.Errorf("call %d: no release of commit %s is in quarantine:\n%s", n, bad, out)
	}
}
