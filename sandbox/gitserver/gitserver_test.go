package gitserver_test

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/sandbox/gitserver"
)

func serve(t *testing.T) (base, dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := gitserver.New(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL, dir
}

// run runs git as a person would, without that person's configuration.
func run(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// commit makes a repository with one commit on a branch.
func commit(t *testing.T, branch string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", branch)
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "file")
	git(t, dir, "commit", "-q", "-m", "one")
	return dir
}

func TestFirstPushMakesTheRepository(t *testing.T) {
	for name, c := range map[string]struct{ branch, push, clone string }{
		"main":         {"main", "/myapp.git", "/myapp.git"},
		"other branch": {"master", "/myapp.git", "/myapp.git"},
		"nested":       {"main", "/acme/shop/myapp.git", "/acme/shop/myapp.git"},
		"short url":    {"main", "/acme/myapp", "/acme/myapp.git"},
	} {
		t.Run(name, func(t *testing.T) {
			base, _ := serve(t)
			git(t, commit(t, c.branch, []byte("hello")), "push", "-q", base+c.push, c.branch)
			out := t.TempDir()
			git(t, out, "clone", "-q", base+c.clone, "copy")
			b, err := os.ReadFile(filepath.Join(out, "copy", "file"))
			if err != nil || string(b) != "hello" {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

func TestLargePush(t *testing.T) {
	base, _ := serve(t)
	// Over http.postBuffer git sends the body in chunks.
	big := make([]byte, 3<<20)
	_, _ = rand.Read(big)
	git(t, commit(t, "main", big), "push", "-q", base+"/big.git", "main")
	git(t, t.TempDir(), "clone", "-q", base+"/big.git")
}

func TestPrivateRepositoryAsksForCredentials(t *testing.T) {
	base, _ := serve(t)
	in := strings.Replace(base, "http://", "http://sandbox:sandbox@", 1)
	wrong := strings.Replace(base, "http://", "http://sandbox:no@", 1)
	work := commit(t, "main", []byte("secret"))
	for _, url := range []string{base, wrong} {
		if out, err := run(t, work, "push", url+"/private/myapp.git", "main"); err == nil {
			t.Errorf("push to %s succeeded: %s", url, out)
		}
	}
	git(t, work, "push", "-q", in+"/private/myapp.git", "main")
	if out, err := run(t, t.TempDir(), "clone", base+"/private/myapp.git"); err == nil {
		t.Errorf("clone without credentials succeeded: %s", out)
	}
	git(t, t.TempDir(), "clone", "-q", in+"/private/myapp.git")
}

func TestRequests(t *testing.T) {
	base, dir := serve(t)
	if err := os.Mkdir(filepath.Join(filepath.Dir(dir), "outside.git"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path string
		want               int
	}{
		{"create", "POST", "/create/acme/myapp", http.StatusCreated},
		{"create again", "POST", "/create/acme/myapp.git", http.StatusOK},
		{"created is there", "GET", "/acme/myapp.git/info/refs?service=git-upload-pack", http.StatusOK},
		{"create private", "POST", "/create/private/x", http.StatusUnauthorized},
		{"create above", "POST", "/create/../x", http.StatusNotFound},
		{"fetch of a missing one", "GET", "/none.git/info/refs?service=git-upload-pack", http.StatusNotFound},
		{"above", "GET", "/../outside.git/info/refs", http.StatusNotFound},
		{"above, inside", "GET", "/acme/../../outside.git/info/refs", http.StatusNotFound},
		{"above, encoded", "GET", "/%2e%2e/outside.git/HEAD", http.StatusNotFound},
		{"above, in objects", "GET", "/acme/myapp.git/objects/../config", http.StatusNotFound},
		{"around the private rule", "GET", "/open/../private/x.git/info/refs", http.StatusNotFound},
		{"hidden", "GET", "/.new-1/info/refs", http.StatusNotFound},
		{"config", "GET", "/acme/myapp.git/config", http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, _ := io.ReadAll(resp.Body); resp.StatusCode != c.want {
				t.Errorf("%d, want %d: %s", resp.StatusCode, c.want, b)
			}
		})
	}
}

func TestWithoutGitTheServerSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s, err := gitserver.New(t.Context(), t.TempDir(), io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/x.git/info/refs", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "git") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
