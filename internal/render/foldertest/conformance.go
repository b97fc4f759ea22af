package foldertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ulikunitz/xz"
)

// Root returns the top directory of the repository that the test belongs to.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "arch_test.go")); err == nil {
			return dir
		}
	}
	t.Fatal("the test does not run inside the repository")
	return ""
}

// Reference returns a file of expected results, which lies in ../shared/conformance beside the repository or
// in the directory that SLIPWAY_CONFORMANCE names. It skips the test where the file does not exist; what is
// the name of the skipped comparison in the message.
func Reference(t testing.TB, name, what string) []byte {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join(Root(t), "..", "shared", "conformance")
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("skipped %s: %s is not in %s (SLIPWAY_CONFORMANCE names another directory)", what, name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Conformance unpacks the cases that kustomize and helm were run on, and returns their directory.
func Conformance(t testing.TB, what string) string {
	t.Helper()
	plain, err := xz.NewReader(bytes.NewReader(Reference(t, "render.tar.xz", what)))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	for files := tar.NewReader(plain); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(files)
		if err == nil {
			err = write(filepath.Join(out, h.Name), string(text), false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
