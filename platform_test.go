package slipway_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// noImports leaves every package out: what is used of one is then not an error.
type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, errors.New("not imported: " + path)
}

// Packages with files for one operating system alone fit together on the others, where no test runs.
// Compiling them would take minutes. Types of other packages are not looked at, so the faults that Linux has
// too are not faults.
func TestOtherPlatforms(t *testing.T) {
	found := 0
	for _, dir := range sourceDirs(t) {
		known := faultsOn(t, "linux", dir)
		for _, system := range []string{"darwin", "windows"} {
			if slices.Equal(filesOn(t, system, dir), filesOn(t, "linux", dir)) {
				continue
			}
			found++
			for _, fault := range faultsOn(t, system, dir) {
				if !slices.Contains(known, fault) {
					t.Errorf("%s: %s", system, fault)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no package has files for one operating system alone: this test looks at nothing")
	}
}

func filesOn(t *testing.T, system, dir string) []string {
	t.Helper()
	ctx := build.Default
	ctx.GOOS, ctx.CgoEnabled = system, false
	p, err := ctx.ImportDir(dir, 0)
	if err != nil {
		t.Fatalf("%s: %v", system, err)
	}
	return p.GoFiles
}

// faultsOn are the type errors in a package that are not about its imports.
func faultsOn(t *testing.T, system, dir string) []string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range filesOn(t, system, dir) {
		f, err := parser.ParseFile(set, filepath.Join(dir, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	var faults []string
	config := types.Config{Importer: noImports{}, Error: func(err error) {
		if !strings.Contains(err.Error(), "could not import ") {
			faults = append(faults, err.Error())
		}
	}}
	_, _ = config.Check(dir, set, files, nil)
	return faults
}

func sourceDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, path := range sources(t) {
		if dir := filepath.Dir(path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
