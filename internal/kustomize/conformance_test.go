package kustomize_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"slipway/internal/kustomize"
	"slipway/internal/object"
	"slipway/internal/tree"
)

// conformance unpacks the cases that were built with the real kustomize, and gives their folder.
func conformance(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_CONFORMANCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "conformance")
	}
	packed, err := os.Open(filepath.Join(dir, "render.tar.xz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the comparison with what kustomize builds is left out: there is no render.tar.xz in %s (SLIPWAY_CONFORMANCE names another folder)", dir)
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

// Each case comes out byte for byte as from kustomize 5.8.2, or fails where that fails.
func TestConformance(t *testing.T) {
	dir := conformance(t)
	table, err := os.ReadFile(filepath.Join(dir, "CASES.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	builders := map[string]*kustomize.Builder{}
	ran := 0
	for line := range strings.Lines(string(table)) {
		column := strings.Split(line, "\t")
		if column[0] == "#" || len(column) < 7 || column[1] != "kustomize" {
			continue
		}
		group, overlay, _ := strings.Cut(column[2], "/")
		if group == "krusty" { // each case is a folder of its own
			name, rest, _ := strings.Cut(overlay, "/")
			group, overlay = filepath.Join(group, name), rest
		}
		ran++
		t.Run(column[0], func(t *testing.T) {
			if strings.Contains(column[4], "--enable-helm") && column[5] == "ok" {
				t.Skip("charts are rendered by the package that renders both")
			}
			root, err := tree.Open(filepath.Join(dir, group), nil)
			if err != nil {
				t.Fatal(err)
			}
			b := builders[group]
			if b == nil {
				b = kustomize.New(root)
				builders[group] = b
			}
			r, err := b.Build(root.View(t.Context()), overlay, kustomize.Options{
				LoadRestrictionsNone: strings.Contains(column[4], "LoadRestrictionsNone"),
			})
			if column[5] == "must-fail" {
				if err == nil {
					t.Fatalf("it built %d objects", len(r.Objects))
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(dir, "expected", column[6]))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text(t, r.Objects)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if ran < 433 {
		t.Errorf("only %d cases", ran)
	}
}

// text is what the command would print.
func text(t testing.TB, objects []object.Object) string {
	t.Helper()
	var all bytes.Buffer
	for i, o := range objects {
		one, err := o.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			all.WriteString("---\n")
		}
		all.Write(one)
	}
	return all.String()
}
