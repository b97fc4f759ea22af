package work

import (
	"io/fs"
	"os"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

// The same project each time, or two runs of the comparison measure different things.
func TestDeterministic(t *testing.T) {
	alone := func(write func(string, int) (int, error)) func(string, int) error {
		return func(dir string, n int) error { _, err := write(dir, n); return err }
	}
	for name, write := range map[string]func(string, int) error{
		"kustomize": Kustomize, "helm": Helm, "overrides": alone(Overrides), "values": alone(Values),
	} {
		t.Run(name, func(t *testing.T) {
			var hashes [2]string
			for i := range hashes {
				dir := t.TempDir()
				if err := write(dir, 31); err != nil {
					t.Fatal(err)
				}
				var err error
				if hashes[i], err = dirhash.HashDir(dir, "", dirhash.Hash1); err != nil {
					t.Fatal(err)
				}
			}
			if hashes[0] != hashes[1] {
				t.Error("two runs wrote different files")
			}
		})
	}
}

func TestObjectCount(t *testing.T) {
	for _, n := range []int{0, 1, 30, 32} {
		if err := Kustomize(t.TempDir(), n); err == nil {
			t.Errorf("%d objects: no error", n)
		}
	}
	dir := t.TempDir()
	if err := Kustomize(dir, 51); err != nil {
		t.Fatal(err)
	}
	written, err := fs.Glob(os.DirFS(dir), "base/*/*.yaml")
	if err != nil || len(written) != 5*(perService-1) {
		t.Errorf("%d manifests of services, %v", len(written), err)
	}
}
