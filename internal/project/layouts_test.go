package project

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/render/foldertest"
)

var update = flag.Bool("update", false, "write what detection finds into the archives: read the difference")

// Each archive is a repository, and what detection makes of it.
func TestLayouts(t *testing.T) {
	archives, err := filepath.Glob("testdata/detect/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			files, want := foldertest.Archive(t, name)
			p, _ := walk(files).project("shop")
			var got strings.Builder
			for _, e := range p.Environments {
				fmt.Fprintf(&got, "%s %s %s\n", e.Name, e.Class, describe(e))
			}
			for _, n := range p.Notes {
				if n.Uses == "" {
					fmt.Fprintf(&got, "note: %s\n", n.Text)
				}
			}
			if *update {
				archive, err := txtar.ParseFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range archive.Files {
					if f.Name == "want" {
						archive.Files[i].Data = []byte(got.String())
					}
				}
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
