package git

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server serves bare repositories in a directory by git's own http-backend, as the sandbox does. Before it
// answers, intercept may.
type server struct {
	*httptest.Server
	dir string

	mu        sync.Mutex
	requests  []string
	intercept func(w http.ResponseWriter, r *http.Request) bool
}

func serve(t *testing.T) *server {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir()}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ada",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		intercept := s.intercept
		s.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			r.TransferEncoding = nil
			backend.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// before sets what answers instead of git.
func (s *server) before(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// count returns how often paths with a suffix were asked for since the last call.
func (s *server) count(suffix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.HasSuffix(r, suffix) {
			n++
		}
	}
	s.requests = nil
	return n
}

// repository makes a served repository and a working tree that pushes to it.
func (s *server) repository(t *testing.T, name string, settings ...string) (work string) {
	t.Helper()
	bare := filepath.Join(s.dir, name)
	gitIn(t, s.dir, "init", "-q", "--bare", "-b", "main", bare)
	for _, key := range append(settings, "http.receivepack") {
		gitIn(t, bare, "config", key, "true")
	}
	work = t.TempDir()
	gitIn(t, work, "init", "-q", "-b", "main")
	gitIn(t, work, "remote", "add", "origin", bare)
	return work
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits files, whose text "" removes them, and pushes them.
func push(t *testing.T, work string, files map[string]string, args ...string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(work, name)
		if text == "" {
			gitIn(t, work, "rm", "-rq", name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	gitIn(t, work, "add", "-A")
	gitIn(t, work, "commit", "-q", "-m", "change")
	gitIn(t, work, append([]string{"push", "-q", "origin", "HEAD:main"}, args...)...)
	return gitIn(t, work, "rev-parse", "HEAD")
}

func mirrorOf(t *testing.T, url string, a Access) *Mirror {
	t.Helper()
	m, err := OpenMirror(t.Context(), url, filepath.Join(t.TempDir(), "mirror"), a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// read returns the text of a file of a commit.
func read(ctx context.Context, m *Mirror, commit, name string) (string, error) {
	entries, err := m.List(ctx, commit)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Path != name {
			continue
		}
		var text string
		err := m.Blobs(ctx, []string{e.Hash}, 1<<20, func(_ string, content []byte, _ int64) error {
			text = string(content)
			return nil
		})
		return text, err
	}
	return "", os.ErrNotExist
}

// A mirror has one commit and no file until files are asked for, which takes one request for all of them.
// Where the server refuses partial clones, everything comes at once and the rest is the same.
func TestMirror(t *testing.T) {
	s := serve(t)
	for name, c := range map[string]struct {
		settings       []string
		blobs, fetches int
	}{
		"partial": {[]string{"uploadpack.allowFilter"}, 2, 1},
		"whole":   {nil, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			work := s.repository(t, name+".git", c.settings...)
			push(t, work, map[string]string{"old": "old"})
			push(t, work, map[string]string{"old": "", "a": "one", "d/b": "two", "huge": strings.Repeat("x", 1<<16)})
			m := mirrorOf(t, s.URL+"/"+name+".git", Access{})
			tips, err := m.Tips(t.Context(), "main", "other", "in")
			if err != nil || len(tips) != 1 {
				t.Fatal(tips, err)
			}
			commit, err := m.Fetch(t.Context(), "main")
			if err != nil || commit != tips["main"] {
				t.Fatal(commit, err)
			}
			if n := gitIn(t, m.Dir, "rev-list", "--count", commit); n != "1" {
				t.Errorf("%s commits", n)
			}
			entries, err := m.List(t.Context(), commit)
			if err != nil || len(entries) != 4 {
				t.Fatal(entries, err)
			}
			hashes, got := []string{entries[0].Hash, entries[2].Hash}, ""
			s.count("")
			for range 2 {
				err = m.Blobs(t.Context(), hashes, 1<<10, func(_ string, content []byte, size int64) error {
					got += string(content)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if got != "onetwoonetwo" {
				t.Errorf("%q", got)
			}
			if n := s.count("/git-upload-pack"); n != c.fetches {
				t.Errorf("%d requests", n)
			}
			all := gitIn(t, m.Dir, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
			if n := strings.Count(all, "blob"); n != c.blobs {
				t.Errorf("%d blobs", n)
			}
			// Later commits come with all that is between.
			push(t, work, map[string]string{"a": "three"})
			last := push(t, work, map[string]string{"a": "four"})
			if got, err := m.Fetch(t.Context(), "main"); err != nil || got != last {
				t.Fatal(got, err)
			}
			if text, err := read(t.Context(), m, last, "a"); text != "four" || err != nil {
				t.Errorf("%q %v", text, err)
			}
			if more, lost, err := m.Between(t.Context(), commit, last); more != 2 || lost != 0 || err != nil {
				t.Errorf("%d more, %d lost, %v", more, lost, err)
			}
			if deeper, err := m.Deepen(t.Context()); !deeper || err != nil {
				t.Errorf("%t %v", deeper, err)
			}
			if n := gitIn(t, m.Dir, "rev-list", "--count", last); n != "4" {
				t.Errorf("%s commits", n)
			}
			if deeper, err := m.Deepen(t.Context()); deeper || err != nil {
				t.Errorf("deeper still: %t %v", deeper, err)
			}
		})
	}
}

// Each fault of the server has its kind.
func TestMirrorFaults(t *testing.T) {
	s := serve(t)
	work := s.repository(t, "a.git", "uploadpack.allowFilter")
	push(t, work, map[string]string{"a": strings.Repeat("no end ", 100)})
	answer := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			return true
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}
	for name, c := range map[string]struct {
		url       string
		intercept func(http.ResponseWriter, *http.Request) bool
		access    Access
		want      error
	}{
		"401":        {s.URL + "/a.git", answer(http.StatusUnauthorized), Access{}, ErrCredentials},
		"403":        {s.URL + "/a.git", answer(http.StatusForbidden), Access{}, ErrCredentials},
		"404":        {s.URL + "/none.git", nil, Access{}, ErrNotFound},
		"503":        {s.URL + "/a.git", answer(http.StatusServiceUnavailable), Access{}, ErrUnreachable},
		"no server":  {"http://127.0.0.1:1/a.git", nil, Access{}, ErrUnreachable},
		"no name":    {"http://none.invalid/a.git", nil, Access{}, ErrUnreachable},
		"slow":       {s.URL + "/a.git", hang, Access{Time: 300 * time.Millisecond}, ErrTooSlow},
		"too large":  {s.URL + "/a.git", nil, Access{Size: 1}, ErrTooLarge},
		"local path": {s.dir + "/a.git", nil, Access{}, nil},
		"a command":  {"ext::sh -c touch% /tmp/never", nil, Access{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s.before(c.intercept)
			m, err := OpenMirror(t.Context(), c.url, filepath.Join(t.TempDir(), "m"), Access{})
			if err != nil {
				t.Fatal(err)
			}
			m.Use(c.access)
			if name == "too large" { // the watch needs a moment of slowness
				s.before(hang)
			}
			start := time.Now()
			_, err = m.Tips(t.Context(), "main")
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A mirror whose files are damaged says so, and a new one in its place works.
func TestMirrorCorrupt(t *testing.T) {
	s := serve(t)
	work := s.repository(t, "a.git", "uploadpack.allowFilter")
	commit := push(t, work, map[string]string{"a": "one"})
	for name, damage := range map[string]func(path string) error{
		"cut":   func(path string) error { return os.Truncate(path, 60) },
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"gone":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			m := mirrorOf(t, s.URL+"/a.git", Access{})
			if _, err := m.Fetch(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, pattern := range []string{"objects/pack/*.pack", "objects/??/*"} {
				files, _ := filepath.Glob(filepath.Join(m.Dir, pattern))
				for _, f := range files {
					found++
					if err := errors.Join(os.Chmod(f, 0o600), damage(f)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if found == 0 {
				t.Fatal("no objects found to damage")
			}
			s.before(func(w http.ResponseWriter, _ *http.Request) bool { // git must not repair it by itself
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			_, err := read(t.Context(), m, commit, "a")
			s.before(nil)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnreachable) {
				t.Errorf("%v", err)
			}
			if err := m.Discard(); err != nil {
				t.Fatal(err)
			}
			m, err = OpenMirror(t.Context(), s.URL+"/a.git", m.Dir, Access{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Fetch(t.Context(), "main"); err != nil {
				t.Fatal(err)
			}
			if text, err := read(t.Context(), m, commit, "a"); text != "one" || err != nil {
				t.Errorf("%q %v", text, err)
			}
		})
	}
}

// Git reads neither the user's configuration nor hooks in a template directory.
func TestMirrorIsClean(t *testing.T) {
	s := serve(t)
	work := s.repository(t, "a.git")
	push(t, work, map[string]string{"a": "one"})
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "url.http://127.0.0.1:1/.insteadOf")
	t.Setenv("GIT_CONFIG_VALUE_0", s.URL+"/")
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mirrorOf(t, s.URL+"/a.git", Access{}).Fetch(t.Context(), "main"); err != nil {
		t.Errorf("%v", err)
	}
	_, err := OpenMirror(t.Context(), s.URL+"/a.git", filepath.Join(t.TempDir(), "m"), Access{UserConfig: true})
	if err == nil || !strings.Contains(err.Error(), ".gitconfig") {
		t.Errorf("the user's configuration was not read: %v", err)
	}
}

// Revert needs no working tree, and changes the named files alone. What changed after the bad commit stays,
// unless it is in the same lines.
func TestRevert(t *testing.T) {
	s := serve(t)
	work := s.repository(t, "a.git", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant")
	const lines = "1\n2\n3\n4\n5\n"
	edited := func(old, text string) string { return strings.Replace(lines, old, text, 1) }
	good := push(t, work, map[string]string{"a": "good", "d/b": "good", "other": "1", "same": lines,
		"apart": lines})
	bad := push(t, work, map[string]string{"a": "bad", "d/b": "", "new": "bad", "other": "2",
		"same": edited("1", "bad"), "apart": edited("1", "bad")})
	head := push(t, work, map[string]string{"same": strings.Replace(edited("1", "worse"), "5", "a note", 1),
		"apart": strings.Replace(edited("1", "bad"), "5", "a note", 1), "late": "1"})
	m := mirrorOf(t, s.URL+"/a.git", Access{})
	if _, err := m.Fetch(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Deepen(t.Context()); err != nil {
		t.Fatal(err)
	}
	what := Reversion{Head: head, Bad: bad, Good: good, Files: []string{"a", "apart", "d/b", "new", "same"}}
	back := func(c []Conflict) string { return fmt.Sprintf("back with %d conflicts\n", len(c)) }
	commit, conflicts, err := m.Revert(t.Context(), what, back, Person{"Agent", "agent@example.com"})
	if err != nil || !slices.Equal(conflicts, []Conflict{{"same", 1, "worse\n", "1\n"}}) {
		t.Fatalf("conflicts %+v, %v", conflicts, err)
	}
	up := Upstream{Branch: "main", Remote: "origin", Ref: "refs/heads/main"}
	if err := m.Push(t.Context(), up, commit); err != nil {
		t.Fatal(err)
	}
	gitIn(t, work, "pull", "-q", "--ff-only", "origin", "main")
	got := gitIn(t, work, "show", "--format=%an %s", "--name-status", "HEAD")
	if want := "Agent back with 1 conflicts\n\nM\ta\nM\tapart\nA\td/b\nD\tnew\nM\tsame"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{"apart": edited("5", "a note"), "same": edited("5", "a note"),
		"late": "1", "other": "2"} {
		if got := gitIn(t, work, "show", "HEAD:"+name); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	what.Head = commit
	if again, _, err := m.Revert(t.Context(), what, back, Person{}); again != "" || err != nil {
		t.Errorf("nothing is left to take back: %s, %v", again, err)
	}
}

// Every conflict of a file is told apart, with the line at which it is in the revert.
func TestRevertConflicts(t *testing.T) {
	s := serve(t)
	work := s.repository(t, "a.git", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant")
	good := push(t, work, map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "gone": "1"})
	bad := push(t, work, map[string]string{"a": "1\n2b\n3\n4\n5\n6\n8b\n9", "gone": "2"})
	head := push(t, work, map[string]string{"a": "new\n1\n2c\n2d\n3\n4\n5\n6\n8c\n9", "gone": ""})
	m := mirrorOf(t, s.URL+"/a.git", Access{})
	if _, err := m.Fetch(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Deepen(t.Context()); err != nil {
		t.Fatal(err)
	}
	what := Reversion{Head: head, Bad: bad, Good: good, Files: []string{"a", "gone"}}
	commit, conflicts, err := m.Revert(t.Context(), what, func([]Conflict) string { return "back" },
		Person{"Agent", "agent@example.com"})
	want := []Conflict{
		{"a", 3, "2c\n2d\n", "2\n"}, {"a", 8, "8c\n9\n", "7\n8\n9\n"}, {File: "gone"},
	}
	if err != nil || !slices.Equal(conflicts, want) {
		t.Errorf("conflicts %+v, %v", conflicts, err)
	}
	text, err := read(t.Context(), m, commit, "a")
	if want := "new\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"; text != want || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// IPv6, a proxy that alone knows the name of the server, and an authority that the environment names.
func TestFault52Networks(t *testing.T) {
	s := serve(t)
	commit := push(t, s.repository(t, "a.git"), map[string]string{"a": "1"})
	fetch := func(t *testing.T, url string) {
		t.Helper()
		if got, err := mirrorOf(t, url, Access{}).Fetch(t.Context(), "main"); got != commit || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	t.Run("IPv6", func(t *testing.T) {
		l, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			t.Skip("this machine has no IPv6: ", err)
		}
		six := httptest.NewUnstartedServer(s.Config.Handler)
		six.Listener.Close()
		six.Listener = l
		six.Start()
		t.Cleanup(six.Close)
		fetch(t, six.URL+"/a.git")
	})
	t.Run("proxy", func(t *testing.T) {
		var asked atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Host == "git.invalid" {
				asked.Add(1)
			}
			s.Config.Handler.ServeHTTP(w, r)
		}))
		t.Cleanup(proxy.Close)
		t.Setenv("http_proxy", proxy.URL)
		t.Setenv("no_proxy", "")
		fetch(t, "http://git.invalid/a.git")
		if asked.Load() == 0 {
			t.Error("the proxy was not asked")
		}
	})
	t.Run("an authority", func(t *testing.T) {
		inner := httptest.NewTLSServer(s.Config.Handler)
		t.Cleanup(inner.Close)
		if _, err := mirrorOf(t, inner.URL+"/a.git", Access{}).Fetch(t.Context(), "main"); err == nil ||
			!strings.Contains(err.Error(), "certificate") {
			t.Errorf("an unknown authority: %v", err)
		}
		file := filepath.Join(t.TempDir(), "ca.crt")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: inner.Certificate().Raw})
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		// As `slipway agent install --ca` sets it: a directory is read beside the authorities of the system.
		t.Setenv("GIT_SSL_CAPATH", filepath.Dir(file))
		fetch(t, inner.URL+"/a.git")
		t.Setenv("GIT_SSL_CAPATH", "")
		t.Setenv("GIT_SSL_CAINFO", file)
		fetch(t, inner.URL+"/a.git")
	})
}
