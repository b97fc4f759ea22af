package source

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/project"
)

// repository has two commits of a project in app/, and changes of every kind on top of them.
func repository(t *testing.T) (dir string, git func(args ...string)) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "Ann")
		t.Setenv("GIT_"+who+"_EMAIL", "ann@example.com")
	}
	git = func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	write(t, dir, "app/slipway.yaml", "project: shop\nenvironments:\n  prod: {path: one}\n")
	write(t, dir, "app/one/x.yaml", "one\n")
	write(t, dir, "app/gone/deep/x.yaml", "gone\n")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	git("tag", "v1.2.0")
	git("rm", "-q", "-r", "app/gone")
	write(t, dir, "app/slipway.yaml", "project: shop\nenvironments:\n  prod: {path: two}\n")
	write(t, dir, "app/two/x.yaml", "two\n")
	git("add", ".")
	git("commit", "-q", "-m", "two")
	return dir, git
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents are all files below a directory, those of Git included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAtReadsTheCommitAlone(t *testing.T) {
	dir, git := repository(t)
	write(t, dir, "app/slipway.yaml", "project: shop\nenvironments:\n  prod: {path: staged}\n")
	git("add", ".")
	write(t, dir, "app/slipway.yaml", "project: shop\nenvironments:\n  prod: {path: changed}\n")
	write(t, dir, "app/two/untracked.yaml", "untracked\n")
	before := contents(t, dir)
	for revision, want := range map[string]string{"HEAD": "two", "HEAD~1": "one"} {
		src, remove, err := At(t.Context(), filepath.Join(dir, "app"), revision)
		if err != nil {
			t.Fatal(err)
		}
		if got := src.Project.Environments[0].Paths[0]; got != want {
			t.Errorf("%s: path %q", revision, got)
		}
		if text, err := os.ReadFile(filepath.Join(src.Project.Dir, want, "x.yaml")); string(text) != want+"\n" {
			t.Errorf("%s: %q %v", revision, text, err)
		}
		if _, err := os.Stat(filepath.Join(src.Project.Dir, "two/untracked.yaml")); err == nil {
			t.Errorf("%s has an untracked file", revision)
		}
		remove()
		if _, err := os.Stat(src.Project.Dir); err == nil {
			t.Errorf("%s: its files are still there", revision)
		}
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("the repository has changed:\n%s", diff)
	}
}

func TestAtIsACleanCheckout(t *testing.T) {
	dir, git := repository(t)
	git("checkout", "-q", "v1.2.0")
	want, err := Open(t.Context(), filepath.Join(dir, "app/gone/deep"))
	if err != nil {
		t.Fatal(err)
	}
	git("checkout", "-q", "main")
	write(t, dir, "app/one/x.yaml", "changed\n")
	if err := os.MkdirAll(filepath.Join(dir, "app/gone/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, remove, err := At(t.Context(), filepath.Join(dir, "app/gone/deep"), "v1.2.0")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if got.Dirty || got.Versions[0] != "1.2.0" || got.Project.Dir == want.Project.Dir {
		t.Errorf("%+v", got)
	}
	got.Project.Dir = want.Project.Dir
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Without a slipway.yaml the project is called like its directory, wherever its files are.
func TestAtKeepsTheName(t *testing.T) {
	dir, git := repository(t)
	git("rm", "-q", "-r", "app")
	write(t, dir, "Dockerfile", "FROM scratch\n")
	write(t, dir, "k8s/x.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n")
	git("add", ".")
	git("commit", "-q", "-m", "detected")
	want, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, remove, err := At(t.Context(), dir, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if got.Project.Name != want.Name {
		t.Errorf("%q, not %q", got.Project.Name, want.Name)
	}
}
