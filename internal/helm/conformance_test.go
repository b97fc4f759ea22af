package helm_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"slipway/internal/helm"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/tree"
)

// conformance unpacks the cases that were rendered with the real helm, and gives their folder.
func conformance(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "conformance")
	}
	packed, err := os.Open(filepath.Join(dir, "render.tar.xz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the comparison with what helm renders is left out: there is no render.tar.xz in %s (SLIPWAY_CONFORMANCE names another folder)", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := xz.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	for files := tar.NewReader(plain); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(out, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformance(t *testing.T) {
	dir := conformance(t)
	root := dir
	if found, _ := filepath.Glob(filepath.Join(dir, "*", "CASES.tsv")); len(found) == 1 {
		root = filepath.Dir(found[0])
	}
	table, err := os.ReadFile(filepath.Join(root, "CASES.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(table)) {
		column := strings.Split(line, "\t")
		if column[0] == "#" || len(column) < 7 || column[1] != "helm" {
			continue
		}
		ran++
		t.Run(column[0], func(t *testing.T) {
			c, o := flags(t, column[4])
			c.Path, c.Values = ".", strings.Fields(column[3])
			result, err := render(t, filepath.Join(root, column[2]), c, o)
			if column[5] == "must-fail" {
				if err == nil {
					t.Fatalf("it rendered %d objects", len(result.Objects))
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(root, "expected", column[6]), result.Objects)
		})
	}
	if ran < 60 {
		t.Errorf("only %d cases", ran)
	}
}

// render renders a chart of a folder.
func render(t testing.TB, dir string, c project.Chart, o helm.Options) (helm.Result, error) {
	t.Helper()
	if c.Release == "" {
		c.Release = "rel"
	}
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return helm.New(helm.Config{}).Render(root.View(t.Context()), c, o)
}

// flags reads the flags of a case.
func flags(t *testing.T, text string) (c project.Chart, o helm.Options) {
	t.Helper()
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		value := func() string { i++; return words[i] }
		switch words[i] {
		case "--namespace":
			o.Namespace = value()
		case "--kube-version":
			o.KubeVersion = value()
		case "--api-versions":
			o.APIVersions = append(o.APIVersions, value())
		case "--set":
			c.Set = append(c.Set, value())
		case "--set-string":
			c.SetString = append(c.SetString, value())
		case "--set-json":
			c.SetJSON = append(c.SetJSON, value())
		case "--set-file":
			c.SetFile = append(c.SetFile, value())
		case "-s":
			o.ShowOnly = append(o.ShowOnly, value())
		case "--include-crds":
			o.IncludeCRDs = true
		case "--skip-tests":
			o.SkipTests = true
		case "--no-hooks":
			o.NoHooks = true
		case "--is-upgrade":
			o.IsUpgrade = true
		default:
			t.Fatalf("unknown flag %s", words[i])
		}
	}
	return c, o
}

// same compares with what the command wrote, object for object and in its order.
func same(t *testing.T, file string, got []object.Object) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []object.Object
	for doc := range strings.SplitAfterSeq(string(text), "\n---\n") {
		doc = strings.TrimSuffix(doc, "---\n") // the line break before it belongs to the document
		if !strings.Contains("\n"+doc, "\nkind:") {
			continue // no object
		}
		objects, err := object.Read(strings.NewReader(doc), "")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, objects...)
	}
	bodies := func(list []object.Object) (bodies []map[string]any) {
		for _, o := range list {
			bodies = append(bodies, o.Body)
		}
		return bodies
	}
	refs := func(list []object.Object) (refs []string) {
		for _, o := range list {
			refs = append(refs, o.Ref().String())
		}
		return refs
	}
	if !slices.Equal(refs(want), refs(got)) {
		t.Fatalf("want - got +:\n%s", cmp.Diff(refs(want), refs(got)))
	}
	if diff := cmp.Diff(bodies(want), bodies(got)); diff != "" {
		t.Errorf("want - got +:\n%s", diff)
	}
}
