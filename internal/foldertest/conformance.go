package foldertest

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ulikunitz/xz"
)

// Conformance unpacks the cases that kustomize and helm were run on, which lie beside the repository at
// root, and gives their folder. Where they are not there it says that what is left out, and skips the test.
func Conformance(t testing.TB, root, what string) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared", "conformance")
	}
	packed, err := os.Open(filepath.Join(dir, "render.tar.xz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is left out: there is no render.tar.xz in %s (SLIPWAY_CONFORMANCE names another folder)", what, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := xz.NewReader(packed)
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
