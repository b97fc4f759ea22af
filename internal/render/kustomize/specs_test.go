package kustomize

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// defaults.json equals the field specs in the source of the library, which does not export them.
func TestDefaultsAreTheLibrarys(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"sigs.k8s.io/kustomize/api").Output()
	if err != nil {
		t.Skipf("the comparison with the library's source is left out: no go command, or no source: %v", err)
	}
	sources, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)),
		"internal/konfig/builtinpluginconsts/*.go"))
	if err != nil || len(sources) == 0 {
		t.Fatal("no source", err)
	}
	constants := map[string]ast.Expr{}
	for _, source := range sources {
		f, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
				constants[v.Names[0].Name] = v.Values[0]
			}
			return true
		})
	}
	var text func(ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			s, _ := strconv.Unquote(e.Value)
			return s
		case *ast.BinaryExpr:
			return text(e.X) + text(e.Y)
		case *ast.Ident:
			return text(constants[e.Name])
		}
		t.Fatalf("%T", e)
		return ""
	}
	var want strings.Builder
	for _, name := range slices.Sorted(maps.Keys(constants)) {
		if s := text(constants[name]); !strings.HasPrefix(strings.TrimSpace(s), "-") { // else it is part of another
			want.WriteString(s + "\n")
		}
	}
	var theirs, ours specs
	if err := yaml.UnmarshalStrict([]byte(want.String()), &theirs); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(defaults, &ours); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours, cmp.Comparer(func(a, b specs) bool {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return string(x) == string(y)
	})); diff != "" {
		t.Error(diff)
	}
	if len(ours.NameReference) < 16 || len(ours.CommonLabels) < 30 {
		t.Errorf("only %d and %d", len(ours.NameReference), len(ours.CommonLabels))
	}
}
