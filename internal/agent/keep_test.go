package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"slipway/internal/agent"
	"slipway/internal/agent/child"
	"slipway/internal/cluster/faultproxy"
	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/git/credential"
	"slipway/internal/project"
)

// The agent renders in processes of its own program, which is the test here.
func TestMain(m *testing.M) {
	if code, is := credential.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); is {
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == child.Arg {
		err := child.Serve(context.Background(), os.Args[2:], os.Stdin, os.Stdout, new(agent.Worker).Work)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	sandboxtest.Main(m)
}

// lines are what was said or asked, in order.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.add(string(bytes.TrimSpace(p)))
	return len(p), nil
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// take returns the lines since the last call.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.all
	l.all = nil
	return taken
}

// await returns when a line has the text, and forgets it and those before.
func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		l.mu.Lock()
		i := slices.IndexFunc(l.all, func(line string) bool { return strings.Contains(line, text) })
		if i >= 0 {
			l.all = l.all[i+1:]
		}
		all := slices.Clone(l.all)
		l.mu.Unlock()
		if i >= 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the agent never said %q:\n%s", text, strings.Join(all, "\n"))
		case <-l.more:
		}
	}
}

// kept is an environment that an agent keeps, with what it asked its servers.
type kept struct {
	agent    *agent.Agent
	log      *lines
	api, git *lines
	// refuse answers requests to the API server in its place, where it returns a status.
	refuse    func(*http.Request) int
	faults    *faultproxy.Proxy   // of the API server; nil: none
	onGit     func(*http.Request) // is called before the Git server has a request
	gitDown   atomic.Bool         // the Git server answers 503
	ahead     atomic.Int64        // of the API server's clock, in nanoseconds
	state     string              // the agent's directory for clones; empty: a temporary one
	watches   sync.Map            // cancels those that are open
	namespace string
	client    kubernetes.Interface
	dir       string
	commits   []string
}

const manifests = `
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two}
data: {a: "1"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

// start commits a project, and runs an agent with a policy for it.
func start(t *testing.T, policy string, refuse func(*http.Request) int) *kept {
	t.Helper()
	k := newKept(t)
	k.refuse = refuse
	k.write(t, "slipway.yaml", "project: shop\nenvironments:\n  test: {path: k8s, class: local}\n")
	k.write(t, "k8s/app.yaml", manifests)
	k.push(t, "first")
	k.run(t, policy, "")
	return k
}

// newKept makes an empty repository and a namespace.
func newKept(t *testing.T) *kept {
	t.Helper()
	place := sandboxtest.NewPlace(t)
	k := &kept{log: newLines(), api: newLines(), git: newLines(), namespace: place.Namespace,
		dir: filepath.Join(t.TempDir(), "shop")}
	cfg, err := sandboxtest.Shared(t).Admin()
	if err != nil {
		t.Fatal(err)
	}
	k.client = kubernetes.NewForConfigOrDie(cfg)
	if err := os.Mkdir(k.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	k.exec(t, "init", "-q", "-b", "main")
	k.exec(t, "remote", "add", "origin", k.serveGit(t)+"/"+place.Namespace+"/shop.git")
	return k
}

// run runs an agent with a policy for the environment, and more lines for the repository.
func (k *kept) run(t *testing.T, policy, more string) {
	t.Helper()
	config, err := agent.Parse(fmt.Appendf(nil, "state: %q\nrepositories:\n- url: %s\n  interval: 100ms\n"+
		"  environments:\n    test: {context: proxy, watchWindow: 100ms, %s}\n%s",
		k.state, k.remote(t), policy, more))
	if err != nil {
		t.Fatal(err)
	}
	front := k.front
	if k.faults != nil {
		front = func(next http.Handler) http.Handler { return k.front(k.faults.Wrap(next)) }
	}
	k.agent = agent.New(config, agent.Options{
		Connect: deploy.ConnectOptions{Kubeconfig: sandboxtest.Through(t, front), Namespace: k.namespace},
		Log:     slog.New(slog.NewTextHandler(k.log, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.agent.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (k *kept) remote(t *testing.T) string {
	out, err := exec.CommandContext(t.Context(), "git", "-C", k.dir, "remote", "get-url", "origin").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// serveGit counts the requests to the Git server.
func (k *kept) serveGit(t *testing.T) string {
	to, err := url.Parse(sandboxtest.Shared(t).GitServer)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		k.git.add(r.In.Method + " " + r.In.URL.Path)
		if k.onGit != nil {
			k.onGit(r.In)
		}
		r.SetURL(to)
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.gitDown.Load() {
			k.git.add("down " + r.URL.Path)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// front counts the requests to the API server, and breaks some.
func (k *kept) front(next http.Handler) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ahead := time.Duration(k.ahead.Load()); ahead != 0 {
			w = dated{w, ahead}
		}
		line := r.Method + " " + r.URL.Path
		if r.URL.Query().Get("watch") != "" {
			line = "WATCH " + r.URL.Path
		}
		status := 0
		if k.refuse != nil {
			status = k.refuse(r)
		}
		if status != 0 {
			k.api.add(fmt.Sprintf("%s: %d", line, status))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
				Status: "Failure", Code: int32(status), Message: line + " is refused",
				Reason: map[int]metav1.StatusReason{403: "Forbidden", 410: "Expired"}[status]})
			return
		}
		k.api.add(line)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if strings.HasPrefix(line, "WATCH") {
			n := count.Add(1)
			k.watches.Store(n, cancel)
			defer k.watches.Delete(n)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (k *kept) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (k *kept) exec(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=Ada", "-c",
		"user.email=ada@example.com"}, args...)...)
	cmd.Dir = k.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (k *kept) push(t *testing.T, message string) string {
	t.Helper()
	k.exec(t, "add", "-A")
	k.exec(t, "commit", "-q", "-m", message)
	k.exec(t, "push", "-q", "-u", "origin", "main")
	return k.exec(t, "rev-parse", "HEAD")
}

// edit changes a ConfigMap as a person does.
func (k *kept) edit(t *testing.T, name, value string) {
	t.Helper()
	_, err := k.client.CoreV1().ConfigMaps(k.namespace).Patch(t.Context(), name, types.MergePatchType,
		[]byte(`{"data":{"a":"`+value+`"}}`), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPolls returns after so many polls of the repository.
func (k *kept) awaitPolls(t *testing.T, n int) {
	t.Helper()
	k.git.take()
	for range n {
		k.git.await(t, "/info/refs")
	}
}

// pollsApart returns how long it took from one poll to the next.
func (k *kept) pollsApart(t *testing.T) time.Duration {
	t.Helper()
	k.git.take()
	k.git.await(t, "/info/refs")
	began := time.Now()
	k.git.await(t, "/info/refs")
	return time.Since(began)
}

// awaitQuiet returns when the API server was asked nothing during five polls of the repository.
func (k *kept) awaitQuiet(t *testing.T) {
	t.Helper()
	for range 20 {
		k.api.take()
		if k.awaitPolls(t, 5); len(k.api.take()) == 0 {
			return
		}
	}
	t.Fatalf("the agent never rests: %s", strings.Join(k.api.take(), "\n"))
}

// An agent without news asks for the branch, and reads nothing else. It compares what has changed, and that
// alone. Its own writes cause no comparison.
func TestIdle(t *testing.T) {
	t.Parallel()
	k := start(t, "onDrift: repair", nil)
	k.log.await(t, "is release 1, healthy")
	k.awaitQuiet(t)
	k.awaitPolls(t, 10)
	if asked := k.api.take(); len(asked) > 0 {
		t.Errorf("without news the agent asks the API server:\n%s", strings.Join(asked, "\n"))
	}
	began := time.Now()
	k.edit(t, "one", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one data.a by kubectl-edit")
	t.Logf("noticed after %s", time.Since(began))
	k.log.await(t, "repaired: ConfigMap")
	t.Logf("set back after %s", time.Since(began))
	k.awaitQuiet(t)
	k.awaitPolls(t, 10)
	if asked := k.api.take(); len(asked) > 0 {
		t.Errorf("after its own writes the agent asks the API server:\n%s", strings.Join(asked, "\n"))
	}
}

var read = regexp.MustCompile(`^(GET|PATCH) .*/(configmaps|services)(/|$)`)

// Only the object that has changed is compared.
func TestComparesOne(t *testing.T) {
	t.Parallel()
	k := start(t, "onDrift: report", nil)
	k.log.await(t, "is release 1, healthy")
	k.awaitQuiet(t)
	k.edit(t, "one", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one")
	k.awaitPolls(t, 3)
	for _, request := range k.api.take() {
		if read.MatchString(request) && !strings.HasSuffix(request, "/configmaps/one") {
			t.Errorf("%s, although only ConfigMap one has changed", request)
		}
	}
	if got := k.agent.Statuses()[0]; got.Drift != 1 || len(got.Polled) > 0 {
		t.Errorf("status %+v", got)
	}
	k.edit(t, "one", "1")
	k.edit(t, "two", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/two")
	if got := k.agent.Statuses()[0]; got.Drift != 1 {
		t.Errorf("%d changes, of which one was taken back", got.Drift)
	}
}

// A watch that was dropped and cannot be continued is listed again: what has changed meanwhile is found.
func TestExpiredWatch(t *testing.T) {
	t.Parallel()
	var expired atomic.Bool
	k := start(t, "onDrift: report", func(r *http.Request) int {
		if expired.Load() && r.URL.Query().Get("watch") != "" {
			return http.StatusGone
		}
		return 0
	})
	k.log.await(t, "is release 1, healthy")
	k.awaitQuiet(t)
	expired.Store(true)
	k.edit(t, "one", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one")
	k.watches.Range(func(_, cancel any) bool { cancel.(context.CancelFunc)(); return true })
	k.api.await(t, "WATCH /api/v1/namespaces/"+k.namespace+"/configmaps: 410")
	k.edit(t, "two", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one data.a by kubectl-edit; ConfigMap "+k.namespace+"/two")
	expired.Store(false)
	k.awaitQuiet(t)
	k.edit(t, "two", "1")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one data.a by kubectl-edit\"")
}

// A kind that may not be watched is read at each interval, and the status says so.
func TestPolled(t *testing.T) {
	t.Parallel()
	k := start(t, "onDrift: report", func(r *http.Request) int {
		if r.URL.Query().Get("watch") != "" && strings.HasSuffix(r.URL.Path, "/configmaps") {
			return http.StatusForbidden
		}
		return 0
	})
	k.log.await(t, "polled, as they cannot be watched: ")
	k.edit(t, "one", "2")
	k.log.await(t, "drift: ConfigMap "+k.namespace+"/one")
	if got := k.agent.Statuses()[0].Polled; len(got) != 1 || !strings.Contains(got[0], "configmaps") {
		t.Errorf("polled: %q", got)
	}
}

// A commit that lands in the middle of a pass is of the next one: a release has the objects of one commit,
// and no older one comes after it (argoproj/argo-cd#29716).
func TestOneCommitAPass(t *testing.T) {
	t.Parallel()
	var second sync.Once
	var k *kept
	landed := make(chan string, 1)
	k = start(t, "onDrift: report", func(r *http.Request) int {
		if k != nil && r.Method == http.MethodPatch && r.URL.Query().Get("dryRun") == "" &&
			strings.Contains(r.URL.Path, "/configmaps/") && len(k.commits) == 1 {
			second.Do(func() { landed <- k.value(t, "3") })
		}
		return 0
	})
	k.log.await(t, "is release 1, healthy")
	k.commits = append(k.commits, k.value(t, "2"))
	last := <-landed
	k.log.await(t, "commit "+last[:7]+" is release")
	env := project.Environment{Name: "test", Class: project.Local, Context: "admin"}
	target, err := deploy.Connect(project.Source{Project: project.Project{Name: "shop"}}, env,
		deploy.ConnectOptions{Kubeconfig: sandboxtest.Shared(t).Kubeconfig, Namespace: k.namespace})
	if err != nil {
		t.Fatal(err)
	}
	history, err := target.Records().History(t.Context())
	if err != nil || len(history) != 3 {
		t.Fatalf("%v, %v", history, err)
	}
	for _, r := range history {
		rel, err := target.Records().Get(t.Context(), r.Revision)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{k.commits[0]: "2", last: "3"}[rel.Commit]
		for _, o := range rel.Objects.Objects() {
			if got := o.At("data", "a"); want != "" && o.Ref().Kind == "ConfigMap" && got != want {
				t.Errorf("release %d of commit %s has %v in %s", rel.Revision, rel.Commit, got, o.Ref())
			}
		}
	}
	if history[0].Commit != last || history[1].Commit != k.commits[0] {
		t.Errorf("the releases are of %s and %s", history[0].Commit, history[1].Commit)
	}
}

// value commits another value of all ConfigMaps.
func (k *kept) value(t *testing.T, value string) string {
	k.write(t, "k8s/app.yaml", strings.ReplaceAll(manifests, `a: "1"`, `a: "`+value+`"`))
	return k.push(t, "value "+value)
}
