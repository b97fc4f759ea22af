// Package slipway_test holds the direction of imports: docs/architecture.md, "Packages".
package slipway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed lists, for each package, the packages of ours that it may import.
var allowed = map[string]string{
	"internal/object":           "",
	"internal/project":          "",
	"internal/git":              "",
	"internal/gctune":           "",
	"internal/lazyregexp":       "",
	"internal/image/builder":    "",
	"internal/render/tree":      "object",
	"internal/render/skaffold":  "",
	"internal/render/sops":      "render/tree",
	"internal/render/kustomize": "object project render/tree",
	"internal/render/helm":      "object project render/tree",
	"internal/render": "object project render/tree render/kustomize render/helm render/skaffold " +
		"render/sops",
	"internal/project/source":   "git project",
	"internal/project/scaffold": "object project",
	"internal/image/signature":  "project",
	"internal/image":            "object project image/builder image/signature",
	"internal/plan":             "object",
	"internal/check/finding":    "object project",
	"internal/check/origin":     "object project check/finding render/tree render",
	"internal/check/contract":   "object project check/finding check/origin",
	"internal/check/rule":       "object project check/finding",
	"internal/check/schema":     "object project check/finding",
	"internal/image/metadata":   "git ci",
	"internal/check/workflow":   "object project check/finding image/metadata ci",
	"internal/ci":               "project",
	"internal/ci/pipeline":      "git project render image ci",
	"internal/check": "git object project project/source render/tree render/skaffold image render check/origin " +
		"check/finding check/rule check/schema check/workflow check/contract",
	"internal/cluster": "object plan",
	"internal/rollout": "object cluster",
	"internal/release": "object image cluster rollout",
	"internal/deploy": "git object project image/builder render/helm render image plan cluster " +
		"rollout release check/origin check check/contract check/finding image/signature",
	"internal/promote": "git object project project/source image render check/finding check/origin " +
		"release deploy",
	"cmd/slipway":                  "*",
	"internal/cluster/sandboxtest": "image/imagetest object",
	"internal/cluster/sandbox":     "",
	"internal/render/foldertest":   "",
	"internal/image/imagetest":     "",
}

// reserved lists what only some packages may import.
var reserved = map[string]string{
	"k8s.io/client-go": "internal/cluster internal/rollout internal/cluster/sandboxtest",
	"os/exec": "internal/git internal/image/builder internal/cluster/sandbox " +
		"internal/cluster/sandboxtest",
	"slipway/sandbox": "",
}

// files parses every Go file of the module that is not a test, by folder.
func files(t *testing.T) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			dir := filepath.ToSlash(filepath.Dir(path))
			out[dir] = append(out[dir], f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 5 {
		t.Fatalf("only %d packages found: is the test run from the module's root?", len(out))
	}
	return out
}

func TestImports(t *testing.T) {
	for dir, fs := range files(t) {
		may, known := allowed[dir]
		if !known {
			t.Errorf("%s is in no line of the table: give it a floor (docs/architecture.md)", dir)
			continue
		}
		for _, imp := range imports(fs) {
			name, ours := strings.CutPrefix(imp, "slipway/internal/")
			if ours && name != "lazyregexp" && may != "*" && !slices.Contains(strings.Fields(may), name) {
				t.Errorf("%s imports %s: the table allows only %q", dir, imp, may)
			}
		}
	}
}

func TestReservedImports(t *testing.T) {
	for dir, fs := range files(t) {
		for _, imp := range imports(fs) {
			for prefix, who := range reserved {
				if (imp == prefix || strings.HasPrefix(imp, prefix+"/")) && !slices.Contains(strings.Fields(who), dir) {
					t.Errorf("%s imports %s, which is kept to %q", dir, imp, who)
				}
			}
		}
		if dir == "cmd/slipway" {
			continue
		}
		for call := range selectors(fs) {
			if call == "context.Background" || call == "context.TODO" || strings.HasPrefix(call, "fmt.Print") {
				t.Errorf("%s uses %s, which is kept to cmd/slipway", dir, call)
			}
		}
	}
}

func imports(fs []*ast.File) []string {
	var out []string
	for _, f := range fs {
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			out = append(out, p)
		}
	}
	return out
}

// selectors are the package-qualified names that the files use, such as "fmt.Println".
func selectors(fs []*ast.File) map[string]bool {
	out := map[string]bool{}
	for _, f := range fs {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok {
					out[x.Name+"."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	return out
}
