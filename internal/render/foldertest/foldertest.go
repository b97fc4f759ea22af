// Package foldertest writes the directories that tests read.
package foldertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Of writes files to a new directory and returns its path, without links. A name that ends with a slash makes
// a directory, a text "-> x" a link to x.
func Of(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := write(filepath.Join(dir, name), text, strings.HasSuffix(name, "/")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(path, text string, dir bool) error {
	if dir {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if target, ok := strings.CutPrefix(text, "-> "); ok {
		return os.Symlink(target, path)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
