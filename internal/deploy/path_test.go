package deploy_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/release"
)

// log is what a test's API server and registry were asked, in order.
type log struct {
	mu       sync.Mutex
	requests []string
}

func (l *log) add(request string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, request)
}

// written are the requests that wrote something.
func (l *log) written() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.requests), func(r string) bool {
		isRead := strings.HasPrefix(r, "GET ") || strings.HasPrefix(r, "LIST ")
		return isRead || strings.HasSuffix(r, ", dry run") || strings.HasSuffix(r, "reviews")
	})
}

// take returns the requests since the last time.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.requests
	l.requests = nil
	return taken
}

// stage is a project in a repository of its own, and one environment of it behind proxies that count.
type stage struct {
	dir      string
	source   project.Source
	target   deploy.Target
	api, hub log
	// warned are the warnings about the API server.
	warned log
}

// newStage commits the files of a directory, and pushes an image as a build of that commit would. Requests to
// the API server pass the handler of wrap, if there is one.
func newStage(t *testing.T, files string, wrap func(http.Handler) http.Handler) *stage {
	t.Helper()
	s := &stage{dir: filepath.Join(t.TempDir(), "project")}
	if err := os.CopyFS(s.dir, os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	s.git(t, "init", "-q", "-b", "main")
	s.commit(t)
	env, err := s.source.Project.Environment("prod")
	if err != nil {
		t.Fatal(err)
	}
	s.target, err = deploy.Connect(s.source, env, deploy.ConnectOptions{
		Kubeconfig: sandboxtest.Through(t, func(next http.Handler) http.Handler {
			if wrap != nil {
				next = wrap(next)
			}
			return s.countAPI(next)
		}), Context: "proxy", Namespace: sandboxtest.NewPlace(t).Namespace, Warn: s.warned.add,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.target.Mirror = s.countRegistry(t, sandboxtest.Shared(t).Registry)
	s.target.Registries = image.NewClient(nil)
	return s
}

func (s *stage) git(t *testing.T, args ...string) {
	t.Helper()
	identity := []string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}
	cmd := exec.CommandContext(t.Context(), "git", append(identity, args...)...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// commit commits the working tree, which is the source from then on, and pushes its image.
func (s *stage) commit(t *testing.T) {
	t.Helper()
	s.git(t, "add", "-A")
	s.git(t, "commit", "-q", "-m", t.Name())
	var err error
	if s.source, err = source.Open(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	s.target.Source = s.source
	imagetest.Push(sandboxtest.Shared(t).Registry+"/acme/myapp:"+s.source.Tag,
		imagetest.Image(256, runtime.GOARCH, map[string]string{image.LabelRevision: s.source.Commit}))
}

var path = regexp.MustCompile(`^/(?:api|apis/[^/]+)/[^/]+/(?:namespaces/[^/]+/)?([a-z]+)(/[^/]+)?$`)

// own are the resources that are not objects of the project.
var own = []string{"secrets", "leases", "nodes", "pods", "replicasets", "events", "selfsubjectrulesreviews"}

// countAPI notes a request as "LIST secrets" or "PATCH object, dry run".
func (s *stage) countAPI(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, verb := r.URL.Path, r.Method
		if m := path.FindStringSubmatch(r.URL.Path); m != nil {
			if what = m[1]; !slices.Contains(own, what) {
				what = "object"
			}
			if m[2] == "" && verb == http.MethodGet {
				verb = "LIST"
			}
		}
		if r.URL.Query().Has("dryRun") {
			what += ", dry run"
		}
		s.api.add(verb + " " + what)
		next.ServeHTTP(w, r)
	})
}

// countRegistry starts a registry that passes on to another, and notes a request as "GET manifests".
func (s *stage) countRegistry(t *testing.T, registry string) string {
	t.Helper()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: registry})
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		s.hub.add(r.Method + " " + parts[max(0, len(parts)-2)])
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func (s *stage) propose(t *testing.T) deploy.Proposal {
	t.Helper()
	p, err := deploy.Propose(t.Context(), s.target, deploy.ProposeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *stage) apply(t *testing.T, p deploy.Proposal) release.Release {
	t.Helper()
	rel, err := deploy.Apply(t.Context(), s.target, p, deploy.Options{Who: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// From a directory to a healthy release and the board, by the packages that an agent or a web UI would use.
func TestPath(t *testing.T) {
	t.Parallel()
	s := newStage(t, "../../examples/myapp", nil)
	refuse := func() error { return errors.New("no") }
	done, err := deploy.WithConsent(t.Context(), s.target, s.propose(t), deploy.Options{Who: "ada"}, refuse)
	if err == nil || done.Applied || len(s.api.written()) > 0 {
		t.Errorf("without consent: %+v, %v, %q", done, err, s.api.written())
	}
	agree := func() error { return nil }
	done, err = deploy.WithConsent(t.Context(), s.target, s.propose(t), deploy.Options{Who: "ada"}, agree)
	rel := done.Release
	if err != nil || !done.Applied || rel.Status != release.Healthy || rel.Commit != s.source.Commit ||
		len(rel.Images) != 1 {
		t.Errorf("release: %+v, %v", rel, err)
	}
	again := s.propose(t)
	if done, err = deploy.WithConsent(t.Context(), s.target, again, deploy.Options{}, refuse); err != nil ||
		done.Applied || done.Release.Revision != rel.Revision {
		t.Errorf("after the deploy: %+v, %v, %+v", again.Plan.Changes, err, done)
	}
	board := deploy.Board(t.Context(), s.source, func(env project.Environment) (deploy.Target, error) {
		if env.Name != s.target.Environment.Name {
			return deploy.Target{}, fmt.Errorf("%s is not connected", env.Name)
		}
		return s.target, nil
	})
	i := slices.IndexFunc(board, func(s deploy.Standing) bool { return s.Environment == "prod" })
	prod := board[i]
	if !prod.Healthy || len(prod.Running) != 1 || prod.Running[0].Digest != rel.Images[0].Digest {
		t.Errorf("board: %+v", prod)
	}
}

// Each request is one that a plan or a deploy cannot do without. n is the number of objects.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, files string
		n           int
		read        map[string]int
	}{
		{"myapp", "../../examples/myapp", 8, map[string]int{"GET object": 8}},
		// Objects of one kind are listed from the third on.
		{"thirty objects", thirty(t), 30, map[string]int{"GET object": 7, "LIST object": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, test.files, nil)
			proposal := s.propose(t)
			compare(t, "plan", s.api.take(), plus(test.read, map[string]int{
				"GET /api": 1, "GET /apis": 1, // where each kind is served
				"LIST secrets":          1,      // the record, which is empty, also under a former name
				"LIST nodes":            1,      // which platforms the images have to be for
				"PATCH object, dry run": test.n, // as it would be
			}))
			compare(t, "plan, registry", s.hub.take(), map[string]int{
				"GET v2":        1, // how to log in
				"GET manifests": 1, // the digest of the commit's tag
				"GET blobs":     1, // the platform
			})

			s.apply(t, proposal)
			compare(t, "deploy", withoutWatch(s.api.take()), plus(test.read, map[string]int{
				// To write records and Leases, which no dry run has tried.
				"POST selfsubjectrulesreviews": 1,
				// To lock and unlock.
				"POST leases": 1, "PUT leases": 1,
				// The record, under the lock.
				"LIST secrets": 1,
				// The release begins and ends. What the plan asked in dry runs holds while the objects are the same.
				"POST secrets": 1, "PUT secrets": 1,
				"PATCH object": test.n,
			}))
			compare(t, "deploy, registry", s.hub.take(), map[string]int{}) // the plan knows the digests

			s.propose(t)
			compare(t, "the next plan", s.api.take(), plus(test.read, map[string]int{
				"LIST secrets": 1, // which releases there are, with the newest one
				"LIST nodes":   1,
				"LIST pods":    1, // whether the release still runs well
			}))
		})
	}
}

// plus adds how the objects are read.
func plus(read, others map[string]int) map[string]int {
	maps.Copy(others, read)
	return others
}

// thirty is examples/myapp with more ConfigMaps.
func thirty(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "thirty")
	if err := os.CopyFS(dir, os.DirFS("../../examples/myapp")); err != nil {
		t.Fatal(err)
	}
	var more strings.Builder
	for i := range 22 {
		fmt.Fprintf(&more, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: more-%d}\n", i)
	}
	prod := filepath.Join(dir, "k8s", "overlays", "prod")
	file := filepath.Join(prod, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "  - ../../base\n", "  - ../../base\n  - more.yaml\n", 1))
	for path, data := range map[string][]byte{
		file: text, filepath.Join(prod, "more.yaml"): []byte(more.String()),
	} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// withoutWatch leaves out what depends on how long the rollout takes: looks at objects after the first apply,
// and renewals of the lock.
func withoutWatch(requests []string) []string {
	var kept []string
	applying := false
	for _, r := range requests {
		applying = applying || r == "PATCH object"
		look := strings.HasPrefix(r, "GET object") || strings.HasPrefix(r, "LIST ") || r == "GET nodes"
		if applying && look || r == "PUT leases" && slices.Contains(kept, r) {
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

func compare(t *testing.T, what string, requests []string, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, r := range requests {
		got[r]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests of %s (-want +got):\n%s", what, diff)
	}
}
