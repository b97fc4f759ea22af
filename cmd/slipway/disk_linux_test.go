package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// On a full disk what writes files says so, and leaves them as they were.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk: what a full one does to files was not tried")
	}
	dir := filepath.Join(t.TempDir(), "app")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("no small disk here: what a full one does to files was not tried: ", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	if err := os.CopyFS(filepath.Join(dir, "k8s"), os.DirFS(filepath.Join(sourceDir, "..", "..", "examples",
		"tutorial", "k8s"))); err != nil {
		t.Fatal(err)
	}
	fill, err := os.Create(filepath.Join(dir, "fill"))
	for err == nil {
		_, err = fill.Write(make([]byte, 4096))
	}
	fill.Close()
	before := contents(t, dir)
	for _, args := range [][]string{{"init"}, {"check", "--fix"}} {
		var stdout, stderr bytes.Buffer
		if code := run(append(args, "--dir", dir), os.Stdin, &stdout, &stderr); code != codeError ||
			!strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr.String())
		}
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Errorf("%v: -before +after:\n%s", args, diff)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
