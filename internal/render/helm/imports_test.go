package helm

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestLightImports keeps slow initialisers out of the program: 8 ms for the schema compiler of Helm's values
// package, 75 ms for Helm's commands.
func TestLightImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			for _, heavy := range []string{"pkg/chart/common/util", "pkg/chart/v2/util", "pkg/engine", "pkg/action",
				"pkg/cmd", "pkg/kube", "pkg/repo", "pkg/registry", "pkg/getter", "pkg/downloader"} {
				if strings.Contains(i.Path.Value, "helm.sh/helm/v4/"+heavy) {
					t.Errorf("%s imports %s", name, i.Path.Value)
				}
			}
		}
	}
}
