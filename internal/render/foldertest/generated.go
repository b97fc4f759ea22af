package foldertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Generated fails the test where a file of the repository is not what it is generated from. With UPDATE in
// the environment it writes the file instead. The name is relative to the repository's top directory.
func Generated(t testing.TB, name, want string) {
	t.Helper()
	path := filepath.Join(Root(t), filepath.FromSlash(name))
	if os.Getenv("UPDATE") != "" {
		if err := write(path, want, false); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run `make docs`", err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("%s is stale: run `make docs`\n-file +generated:\n%s", name, diff)
	}
}
