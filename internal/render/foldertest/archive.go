package foldertest

import (
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// Archive reads a txtar file: its files, and the text of the one called "want", which is the expected result.
func Archive(t testing.TB, name string) (files fstest.MapFS, want string) {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files = fstest.MapFS{}
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files, want
}
