package git

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository makes one with one commit, as git itself would.
func repository(t *testing.T) (Repository, func(args ...string)) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
			"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com",
			"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	write(t, dir, ".gitignore", "ignored\n")
	write(t, dir, "a b.txt", "one\n")
	git("add", ".")
	git("commit", "-q", "-m", "first: begin")
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, git
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, r Repository) State {
	t.Helper()
	s, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTagsOfTheCommit(t *testing.T) {
	r, git := repository(t)
	if got := state(t, r).Tags; got != nil {
		t.Errorf("no tag: %q", got)
	}
	git("tag", "-a", "-m", "a release", "v1.2.0")
	git("tag", "odd,name")
	git("config", "log.excludeDecoration", "refs/tags/*")
	git("branch", "v9.0.0")
	if diff := cmp.Diff([]string{"odd,name", "v1.2.0"}, state(t, r).Tags); diff != "" {
		t.Error(diff)
	}
	git("commit", "-q", "--allow-empty", "-m", "later")
	if got := state(t, r).Tags; got != nil {
		t.Errorf("tags of an earlier commit: %q", got)
	}
}

func TestOpen(t *testing.T) {
	r, _ := repository(t)
	write(t, r.Dir, "deep/er/x", "")
	inner, err := Open(t.Context(), filepath.Join(r.Dir, "deep/er"))
	if err != nil || inner != r {
		t.Errorf("%v %v", inner, err)
	}
	if _, err := Open(t.Context(), t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("no repository: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(cancelled, r.Dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), r.Dir); !errors.Is(err, ErrNoProgram) {
		t.Errorf("no git: %v", err)
	}
}

func TestStateOfACleanTree(t *testing.T) {
	r, git := repository(t)
	git("remote", "add", "origin", "https://bob:token@git.example.com/acme/myapp.git?private_token=x")
	write(t, r.Dir, "ignored", "x")
	s := state(t, r)
	if len(s.Commit) != 40 || s.Branch != "main" || s.Dirty || s.Fingerprint != "" ||
		s.Time.Format("2006-01-02T15:04:05Z") != "2026-01-02T03:04:05Z" ||
		s.Remote != "https://git.example.com/acme/myapp.git" {
		t.Errorf("%+v", s)
	}
	git("checkout", "-q", "--detach")
	if s := state(t, r); s.Branch != "" || s.Commit == "" {
		t.Errorf("%+v", s)
	}
}

func TestStateBeforeTheFirstCommit(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	if out, err := exec.Command("git", "init", "-q", "-b", "main", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	write(t, dir, "x", "1")
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if s := state(t, r); s.Commit != "" || !s.Dirty || s.Branch != "main" ||
		s.Fingerprint == "" {
		t.Errorf("%+v", s)
	}
}

func TestFingerprintFollowsTheContentAlone(t *testing.T) {
	r, git := repository(t)
	seen := map[string]string{}
	look := func(what string) string {
		t.Helper()
		s := state(t, r)
		if !s.Dirty || len(s.Fingerprint) != 12 {
			t.Fatalf("%s: %+v", what, s)
		}
		return s.Fingerprint
	}
	fresh := func(what string) string {
		t.Helper()
		f := look(what)
		if other, ok := seen[f]; ok {
			t.Errorf("%s has the fingerprint of %s", what, other)
		}
		seen[f] = what
		return f
	}
	write(t, r.Dir, "a b.txt", "two\n")
	changed := fresh("a changed file")
	index, err := os.ReadFile(filepath.Join(r.Dir, ".git/index"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.Dir, "a b.txt", "two\n")
	// The same content with another time is what makes git write its index anew.
	if err := os.Chtimes(filepath.Join(r.Dir, ".gitignore"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if look("written again") != changed {
		t.Error("the same content has another fingerprint")
	}
	if after, _ := os.ReadFile(filepath.Join(r.Dir, ".git/index")); !cmp.Equal(index, after) {
		t.Error("the index was touched")
	}
	git("add", ".")
	if look("staged") != changed {
		t.Error("staging changes the fingerprint")
	}
	if err := os.Chmod(filepath.Join(r.Dir, "a b.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh("an executable file")
	write(t, r.Dir, "new\nline", "x")
	fresh("an untracked file")
	write(t, r.Dir, "new\nline", "y")
	fresh("another untracked file")
	if err := os.Symlink("a b.txt", filepath.Join(r.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	fresh("a link")
	if err := os.Remove(filepath.Join(r.Dir, "a b.txt")); err != nil {
		t.Fatal(err)
	}
	fresh("a deleted file")
	git("init", "-q", "nested")
	write(t, r.Dir, "nested/x", "1")
	fresh("a repository within")
	write(t, r.Dir, "nested/x", "2")
	fresh("a change within")
}

func TestLog(t *testing.T) {
	r, git := repository(t)
	first := state(t, r).Commit
	write(t, r.Dir, "b", "2")
	git("add", ".")
	git("-c", "user.name=x", "commit", "-q", "-m", "second: go on\n\nwith a body")
	second := state(t, r).Commit
	commits, err := r.Log(t.Context(), first, second)
	if err != nil || len(commits) != 1 || commits[0].Subject != "second: go on" || commits[0].Author != "Ann" ||
		commits[0].Email != "ann@example.com" || commits[0].Hash != second {
		t.Errorf("%+v %v", commits, err)
	}
	if commits, err := r.Log(t.Context(), "", second); err != nil || len(commits) != 2 ||
		commits[1].Hash != first {
		t.Errorf("%+v %v", commits, err)
	}
	if commits, err := r.Log(t.Context(), second, second); err != nil || len(commits) != 0 {
		t.Errorf("%+v %v", commits, err)
	}
	var failed *Error
	if _, err := r.Log(t.Context(), "", "--output=/tmp/x"); !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
}

func TestAHookOfAnotherRepositoryDoesNotConfuse(t *testing.T) {
	r, _ := repository(t)
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "elsewhere"))
	if s := state(t, r); s.Commit == "" {
		t.Errorf("%+v", s)
	}
}

func TestWithoutCredentials(t *testing.T) {
	for remote, want := range map[string]string{
		"https://user:pass@host/a.git":      "https://host/a.git",
		"https://ghp_token@github.com/a/b":  "https://github.com/a/b",
		"ssh://git:pass@host:22/a.git":      "ssh://git@host:22/a.git",
		"git@github.com:acme/myapp.git":     "git@github.com:acme/myapp.git",
		"http://127.0.0.1:4000/acme/my.git": "http://127.0.0.1:4000/acme/my.git",
		"/home/ann/repo":                    "", "../repo": "", "file:///srv/repo": "", "": "", `C:\repo`: "",
	} {
		if got := WithoutCredentials(remote); got != want {
			t.Errorf("%s: %q", remote, got)
		}
	}
}

// A clone by another way is the same repository, a fork is not (argoproj/argo-cd#23564).
func TestIdentity(t *testing.T) {
	r, git := repository(t)
	if s, err := r.State(t.Context()); s.Identity != "" || err != nil {
		t.Errorf("without an origin: %q, %v", s.Identity, err)
	}
	git("remote", "add", "origin", "none")
	for url, want := range map[string]string{
		"git@github.com:acme/web.git":                "acme/web",
		"https://ada:secret@github.com/Acme/Web.git": "acme/web",
		"ssh://git@git.example.com:7999/acme/web/":   "acme/web",
		"https://github.com/bob/web":                 "bob/web",
		"git@git.example.com:web.git":                "git.example.com/web",
		"https://git.example.com/web":                "git.example.com/web",
		"/srv/git/web.git":                           "git/web",
	} {
		git("remote", "set-url", "origin", url)
		if s, err := r.State(t.Context()); s.Identity != want || err != nil {
			t.Errorf("%s: %q, want %q (%v)", url, s.Identity, want, err)
		}
	}
}

func TestExportWritesACommit(t *testing.T) {
	r, git := repository(t)
	write(t, r.Dir, "app/k8s/x.yaml", "old\n")
	write(t, r.Dir, "app/left.yaml", "left\n")
	write(t, r.Dir, ".gitattributes", "app/left.yaml export-ignore\n")
	git("add", ".")
	git("commit", "-q", "-m", "old")
	write(t, r.Dir, "app/k8s/x.yaml", "new\n")
	git("add", ".")
	git("commit", "-q", "-m", "new")
	git("config", "core.sparseCheckout", "true")
	write(t, r.Dir, ".git/info/sparse-checkout", "/nothing\n")
	write(t, r.Dir, ".gitattributes", "*.yaml text eol=crlf\n")
	s, err := r.StateAt(t.Context(), "HEAD~1")
	if err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "files")
	if err := r.Export(t.Context(), s.Commit, into); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"app/k8s/x.yaml": "old\n", "app/left.yaml": "left\n"} {
		if text, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	if _, err := os.Stat(into + ".index"); err == nil {
		t.Error("the private index is still there")
	}
	var failed *Error
	for _, revision := range []string{"nowhere", "--all", ""} {
		if _, err := r.StateAt(t.Context(), revision); !errors.As(err, &failed) {
			t.Errorf("%q: %v", revision, err)
		}
	}
}
