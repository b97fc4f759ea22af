// Package docs_test holds the documents against the code.
package docs_test

import (
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slipway/internal/render/foldertest"
)

const changelogStart = `# Changelog

Assembled from changes/ by ` + "`make docs`" + `, the newest change first.

## Unreleased

`

// CHANGELOG.md consists of the files in changes/. Their numbers are unique, so that their order is certain.
func TestChangelog(t *testing.T) {
	t.Chdir(foldertest.Root(t))
	var text, last string
	for _, file := range glob(t, "changes/*.md") { // sorted
		number, _, _ := strings.Cut(filepath.Base(file), "-")
		if number == last {
			t.Errorf("%s: number %s is taken", file, number)
		}
		last = number
		change := read(t, file)
		if !strings.HasPrefix(change, "- ") {
			t.Errorf("%s: want a Markdown list", file)
		}
		text = change + text
	}
	foldertest.Generated(t, "CHANGELOG.md", changelogStart+text)
}

// The tests, scripts and files that documents name exist.
func TestNamesInDocuments(t *testing.T) {
	t.Chdir(foldertest.Root(t))
	pages := glob(t, "*.md", "docs/*.md", "docs/*/*.md", "examples/*/README.md")
	var tests strings.Builder
	sources := glob(t, "*_test.go", "cmd/*/*_test.go", "internal/*/*_test.go", "internal/*/*/*_test.go")
	for _, file := range sources {
		tests.WriteString(read(t, file))
	}
	var (
		link   = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
		path   = regexp.MustCompile("`((?:bench|cmd|docs|examples|internal|sandbox)/[-a-z0-9_./]+)`")
		script = regexp.MustCompile("`([a-z_]+\\.txtar)`")
		test   = regexp.MustCompile("`(?:[a-z]+\\.)?(Test[A-Z]\\w+)")
	)
	for _, page := range pages {
		text := read(t, page)
		var files []string
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			files = append(files, filepath.Join(filepath.Dir(page), m[1]))
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			files = append(files, m[1])
		}
		for _, m := range script.FindAllStringSubmatch(text, -1) {
			files = append(files, filepath.Join("cmd/slipway/testdata/script", m[1]))
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range test.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(t *testing.T)") {
				t.Errorf("%s: %s does not exist", page, m[1])
			}
		}
	}
}

func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var files []string
	for _, pattern := range patterns {
		more, err := filepath.Glob(pattern)
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %d files: %v", pattern, len(more), err)
		}
		files = append(files, more...)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const packagesStart, packagesEnd = "| package | floor |", "\n\nRendering "

// The table of docs/architecture.md has the first sentence of each package's comment, and its imports.
func TestArchitecture(t *testing.T) {
	t.Chdir(foldertest.Root(t))
	packages := map[string]*pkg{}
	for _, file := range glob(t, "cmd/*/*.go", "internal/*/*.go", "internal/*/*/*.go") {
		if !strings.HasSuffix(file, "_test.go") {
			addFile(t, packages, file)
		}
	}
	table := &strings.Builder{}
	table.WriteString(packagesStart + " what it does | imports |\n|---|---|---|---|\n")
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		p := packages[dir]
		_, does, found := strings.Cut(p.comment, filepath.Base(dir)+" ")
		if !found {
			t.Errorf("%s has no package comment", dir)
		}
		imports := strings.Join(slices.Sorted(maps.Keys(p.imports)), " ")
		if strings.HasPrefix(dir, "cmd/") {
			imports = ""
		}
		fmt.Fprintf(table, "| `%s` | %d | %s | %s |\n", dir, floor(packages, dir), does, imports)
	}
	before, rest, found := strings.Cut(read(t, "docs/architecture.md"), packagesStart)
	_, after, closed := strings.Cut(rest, packagesEnd)
	if !found || !closed {
		t.Fatal("docs/architecture.md has no table of packages")
	}
	foldertest.Generated(t, "docs/architecture.md", before+strings.TrimSpace(table.String())+packagesEnd+after)
}

// pkg is a package of ours: the first sentence of its comment, and its imports below internal/, apart from
// lazyregexp, which every package may import.
type pkg struct {
	comment string
	imports map[string]bool
}

func addFile(t *testing.T, packages map[string]*pkg, file string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.ToSlash(filepath.Dir(file))
	if packages[dir] == nil {
		packages[dir] = &pkg{imports: map[string]bool{}}
	}
	if f.Doc != nil {
		packages[dir].comment = new(doc.Package).Synopsis(f.Doc.Text())
	}
	for _, i := range f.Imports {
		if name, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "slipway/internal/"); ours &&
			name != "lazyregexp" {
			packages[dir].imports[name] = true
		}
	}
}

// floor is 0 for a package that imports none of ours, and one above the highest of those that it imports.
func floor(packages map[string]*pkg, dir string) int {
	top := -1
	for name := range packages[dir].imports {
		top = max(top, floor(packages, "internal/"+name))
	}
	return top + 1
}

// Every fault of the list, 1 to 52, has one row with a behaviour, and names a test or says that it has none.
func TestFaultsAreComplete(t *testing.T) {
	t.Chdir(foldertest.Root(t))
	row := regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)
	next := 1
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/faults.md"), -1) {
		if m[1] != fmt.Sprint(next) {
			t.Errorf("row %s follows row %d", m[1], next-1)
		}
		next++
		if !strings.Contains(m[4], "`Test") && !strings.Contains(m[4], ".txtar`") &&
			!strings.HasPrefix(m[4], "none") {
			t.Errorf("row %s names no test: %s", m[1], m[4])
		}
	}
	if next != 53 {
		t.Errorf("%d rows, want 52", next-1)
	}
}
