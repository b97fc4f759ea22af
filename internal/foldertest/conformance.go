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

// Reference is a file of what other programs gave, which lies beside the repository at root. Where it is not
// there it says that what is left out, and skips the test.
func Reference(t testing.TB, root, name, what string) []byte {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared", "conformance")
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is left out: there is no %s in %s (SLIPWAY_CONFORMANCE names another folder)", what, name, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Conformance unpacks the cases that kustomize and helm were run on, and gives their folder.
func Conformance(t testing.TB, root, what string) string {
	t.Helper()
	plain, err := xz.NewReader(bytes.NewReader(Reference(t, root, "render.tar.xz", what)))
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
