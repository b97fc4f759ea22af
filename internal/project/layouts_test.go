package project

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Each archive is a repository, and what detection makes of it.
func TestLayouts(t *testing.T) {
	archives, err := filepath.Glob("testdata/detect/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := fstest.MapFS{}, ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			p, _ := walk(files).project("shop")
			var got strings.Builder
			for _, e := range p.Environments {
				fmt.Fprintf(&got, "%s %s %s\n", e.Name, e.Class, describe(e))
			}
			for _, n := range p.Notes {
				if !strings.Contains(n, " as environment ") {
					fmt.Fprintf(&got, "note: %s\n", n)
				}
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
