package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/internal/cluster/faultproxy"
)

// Of two replicas one leads. A leader that is stopped in the middle of a deploy writes nothing when it goes on
// after the other one has taken over. A leader that is told to end leaves its deploy to the other one. A
// second agent does not touch the environment.
func TestPausedLeader(t *testing.T) {
	t.Parallel()
	v := newVictim(t, false)
	url := shared.GitServer + "/" + v.prefix + "/paused.git"
	v.round(t)
	v.run(t, "git", "push", "-q", url, "main")
	first, second := newReplica(t, v, url, "pair"), newReplica(t, v, url, "pair")
	first.stopAt = regexp.MustCompile(`^PATCH .*/deployments/`)
	first.start(t)
	select {
	case <-first.stopped:
	case <-time.After(patience):
		t.Fatal("the first replica applies no Deployment")
	}
	second.start(t)
	second.await(t, "standing by: slipway agent on ")
	second.await(t, "this replica leads")
	second.await(t, "is release 2, healthy")
	before := len(first.seen())
	first.signal(t, syscall.SIGCONT)
	first.await(t, "this replica is not the leader any more: ")
	first.await(t, "standing by: slipway agent on ")
	for _, w := range first.seen()[before:] {
		if w.status < 300 || !strings.Contains(w.request, "/leases/") {
			t.Errorf("the paused leader wrote: %s (%d)", w.request, w.status)
		}
	}
	if history := v.run(t, "slipway", "history", "prod", "-o", "json"); !strings.Contains(history, `"term":2`) {
		t.Errorf("no record has the term of the second leader:\n%s", history)
	}

	other := newReplica(t, v, url, "other")
	other.start(t)
	other.await(t, "prod is kept by another agent, "+v.prefix+"-prod/pair")

	// The upgrade of a Deployment ends the leader; its deploy goes on at once with the other replica.
	v.edit(t, "k8s/web.yaml", "metadata: {labels: {app: web}}",
		"metadata: {labels: {app: web}, annotations: {sandbox.slipway.dev/behavior: slow=4s}}")
	v.round(t)
	v.run(t, "git", "push", "-q", url, "main")
	second.await(t, "recorded as release 3")
	second.signal(t, syscall.SIGTERM)
	first.await(t, "is release 4, healthy")
	for _, w := range other.seen() {
		told := strings.HasSuffix(w.request, "/events") // that it refuses
		if !told && !strings.Contains(w.request, "/leases") {
			t.Errorf("the second agent wrote: %s (%d)", w.request, w.status)
		}
	}
}

// patience is how long a replica may take to say something. Another one takes over after 30 s at most.
const patience = 90 * time.Second

// replica is a process of an agent, with a proxy of its own to the API server.
type replica struct {
	config, log, kubeconfig string
	env                     []string
	process                 *os.Process
	stopAt                  *regexp.Regexp // the write at which it is stopped; nil: none
	stopped                 chan struct{}

	mu     sync.Mutex
	writes []write
}

// write is a request that writes, with the status of its answer.
type write struct {
	request string
	status  int
}

func newReplica(t *testing.T, v *victim, url, lease string) *replica {
	t.Helper()
	dir := t.TempDir()
	r := &replica{
		config: filepath.Join(dir, "agent.yaml"), log: filepath.Join(dir, "log"),
		kubeconfig: filepath.Join(dir, "kubeconfig"), stopped: make(chan struct{}),
	}
	writeFile(t, r.config, fmt.Sprintf("repositories: [{url: %q, interval: 300ms, environments: {prod: {}}}]\n"+
		"lease: {context: prod, namespace: %s-prod, name: %s}\n", url, v.prefix, lease))
	text, err := os.ReadFile(filepath.Join(filepath.Dir(v.dir), "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	front := shared.Front(t, r.front)
	writeFile(t, r.kubeconfig, regexp.MustCompile(`server: .*`).ReplaceAllString(string(text), "server: "+front))
	r.env = append(slices.Clone(v.env), "KUBECONFIG="+r.kubeconfig)
	return r
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// front passes on, and notes what writes. It stops the process at one write, which it loses.
func (r *replica) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if !faultproxy.IsWrite(req) {
			next.ServeHTTP(rw, req)
			return
		}
		name := req.Method + " " + req.URL.Path
		r.mu.Lock()
		stops := r.stopAt != nil && r.stopAt.MatchString(name)
		if stops {
			r.stopAt = nil
		}
		r.mu.Unlock()
		if stops {
			_ = r.process.Signal(syscall.SIGSTOP)
			close(r.stopped)
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, req)
		r.mu.Lock()
		r.writes = append(r.writes, write{name, answer.Code})
		r.mu.Unlock()
		for k, values := range answer.Header() {
			rw.Header()[k] = values
		}
		rw.WriteHeader(answer.Code)
		_, _ = io.Copy(rw, answer.Body)
	})
}

func (r *replica) seen() []write {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]write(nil), r.writes...)
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command("slipway", "agent", "run", "--verbose", "--config", r.config)
	cmd.Env = r.env
	r.run(t, cmd)
}

// run starts an agent, and ends it after the test.
func (r *replica) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(r.log)
			t.Logf("%s:\n%s", r.config, text)
		}
	})
}

func (r *replica) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := r.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// await returns when the log says a text.
func (r *replica) await(t *testing.T, text string) {
	t.Helper()
	tick, deadline := time.NewTicker(100*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		if log, err := os.ReadFile(r.log); err == nil && strings.Contains(string(log), text) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s never said %q", r.config, text)
		}
	}
}
