// Package slipway_test holds the direction of imports: docs/architecture.md, "Packages".
package slipway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// allowed lists, for each package, the packages of ours that it may import.
var allowed = map[string]string{
	"internal/object":           "",
	"internal/project":          "project/tilt words",
	"internal/project/tilt":     "",
	"internal/git":              "",
	"internal/git/credential":   "",
	"internal/git/forge":        "git/credential",
	"internal/git/signer":       "",
	"internal/gctune":           "",
	"internal/lazyregexp":       "",
	"internal/image/reference":  "",
	"internal/image/builder":    "image/reference",
	"internal/render/tree":      "object",
	"internal/render/skaffold":  "project",
	"internal/render/sops":      "render/tree",
	"internal/render/kustomize": "object project render/tree",
	"internal/render/helm":      "object project render/tree",
	"internal/render": "object project render/tree render/kustomize render/helm render/skaffold " +
		"render/sops",
	"internal/render/bundle":    "object project",
	"internal/project/source":   "git project",
	"internal/project/scaffold": "object project",
	"internal/image/signature":  "project",
	"internal/image":            "git object project image/builder image/reference image/signature",
	"internal/plan":             "object",
	"internal/check/finding":    "object project",
	"internal/check/origin":     "object project check/finding render/tree render",
	"internal/check/contract":   "object project check/finding check/rule image/reference",
	"internal/check/rule":       "object project check/finding",
	"internal/check/schema":     "object project check/finding check/rule",
	"internal/image/metadata":   "git ci image/reference",
	"internal/check/workflow":   "object project check/finding check/rule image/metadata image/reference ci words",
	"internal/ci":               "project",
	"internal/ci/pipeline":      "git project render image ci",
	"internal/ci/gitops":        "git object project image render/tree render",
	"internal/check": "words git object project project/source project/tilt render/tree render/skaffold image image/reference " +
		"render " +
		"check/origin " +
		"check/finding check/rule check/schema check/workflow check/contract",
	"internal/cluster": "object plan words",
	"internal/rollout": "object project cluster words",
	"internal/release": "object image cluster rollout",
	"internal/deploy": "words git object project image/builder render render/tree image plan cluster " +
		"rollout release check check/finding check/rule check/contract check/origin image/signature deploy/peer " +
		"rollout/probe render/bundle",
	"internal/deploy/peer":   "git object project",
	"internal/rollout/probe": "project words",
	"internal/promote": "git git/forge object project project/source image image/reference render render/tree " +
		"check/finding check/origin cluster release deploy words",
	"internal/agent": "promote agent/child agent/notify gctune git git/credential git/forge git/signer image " +
		"object project project/source " +
		"render/tree render render/bundle image/signature check check/contract check/finding " +
		"check/origin plan cluster release deploy web web/login words",
	"internal/agent/child":   "",
	"internal/agent/notify":  "",
	"internal/agent/install": "agent object project render",
	"internal/web": "check/contract check/finding check/origin cluster deploy git image lazyregexp object " +
		"plan project promote release rollout words",
	"internal/web/login":           "web",
	"internal/web/login/logintest": "",
	"internal/web/browser":         "",
	"internal/words":               "",
	"cmd/slipway":                  "*",
	"internal/cluster/sandboxtest": "image/imagetest object",
	"internal/cluster/faultproxy":  "",
	"internal/git/forge/forgetest": "",
	"internal/cluster/sandbox":     "",
	"internal/render/foldertest":   "",
	"internal/image/imagetest":     "",
}

// reserved lists what only some packages may import.
var reserved = map[string]string{
	"k8s.io/client-go": "internal/cluster internal/rollout internal/cluster/sandboxtest",
	"os/exec": "internal/git internal/image/builder internal/cluster/sandbox internal/agent/child " +
		"internal/cluster/sandboxtest internal/web/browser",
	"slipway/sandbox": "",
}

// sources are the Go files of the module that are not tests.
func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(paths) < 100 {
		t.Fatalf("only %d files found: is the test run from the module's root?", len(paths))
	}
	return paths
}

// files parses the imports and bodies of all sources, by directory.
func files(t *testing.T) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	for _, path := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		out[dir] = append(out[dir], f)
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

// A package that does not exist, and an import that nothing needs, go from the table.
func TestTableIsUsed(t *testing.T) {
	packages := files(t)
	for dir, may := range allowed {
		fs, exists := packages[dir]
		if !exists {
			t.Errorf("the table lists %s, which does not exist", dir)
			continue
		}
		used := imports(fs)
		for _, name := range strings.Fields(may) {
			if name != "*" && !slices.Contains(used, "slipway/internal/"+name) {
				t.Errorf("the table lets %s import %s, and it does not", dir, name)
			}
		}
	}
	for prefix, who := range reserved {
		for _, dir := range strings.Fields(who) {
			if !slices.ContainsFunc(imports(packages[dir]), func(i string) bool { return within(i, prefix) }) {
				t.Errorf("%s is reserved to %s, which does not import it", prefix, dir)
			}
		}
	}
}

func TestReservedImports(t *testing.T) {
	for dir, fs := range files(t) {
		for _, imp := range imports(fs) {
			for prefix, who := range reserved {
				if within(imp, prefix) && !slices.Contains(strings.Fields(who), dir) {
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

// within says whether an import path is a package or below it.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

const (
	maxColumns  = 110
	maxFunction = 80
	maxFile     = 500
	maxRaw      = 70 // a longer raw string has its line for itself
)

// A function fits a screen, a file is read in one sitting, a line needs no scrolling. A long raw string is as
// long as what it prints or matches.
func TestShape(t *testing.T) {
	for _, path := range sources(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		raw := map[int]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			from, to := 0, 0
			if n != nil {
				from, to = set.Position(n.Pos()).Line, set.Position(n.End()).Line
			}
			switch n := n.(type) {
			case *ast.FuncDecl:
				if to-from >= maxFunction {
					t.Errorf("%s:%d: %s has %d lines, more than %d", path, from, n.Name.Name, to-from+1, maxFunction)
				}
			case *ast.BasicLit:
				long := from < to || utf8.RuneCountInString(n.Value) > maxRaw
				for line := from; n.Value[0] == '`' && long && line <= to; line++ {
					raw[line] = true
				}
			}
			return true
		})
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(lines) > maxFile {
			t.Errorf("%s has %d lines, more than %d", path, len(lines), maxFile)
		}
		for i, line := range lines {
			if n := utf8.RuneCountInString(line); n > maxColumns && !raw[i+1] {
				t.Errorf("%s:%d: %d columns, more than %d", path, i+1, n, maxColumns)
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
