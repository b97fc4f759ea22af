// Package tree gives renderers access to a project's directory: rooted, read-only, within budgets, and with a
// note of every access. It knows no format.
package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
)

// The largest file that is read.
const maxFile = 8 << 20

// RefusedError reports something that a source asks for and Slipway does not do.
type RefusedError struct {
	Origin object.Origin
	// What is asked for, and Why it is refused.
	What, Why string
}

func (e *RefusedError) Error() string {
	msg := e.What + ": " + e.Why
	if at := e.Origin.String(); at != "" {
		return at + ": " + msg
	}
	return msg
}

const outside = "outside the project"

// MissingError reports a file or directory that does not exist. It is an fs.ErrNotExist.
type MissingError struct {
	Name string
	err  error
}

func (e *MissingError) Error() string { return e.Name + ": no such file or directory" }

func (e *MissingError) Unwrap() error { return e.err }

// Tree is one directory. Each file is read once for all views. It may be used from several goroutines.
type Tree struct {
	dir  string // absolute, without links
	root *os.Root
	open func(name string, text []byte) (Text, error)
	// emptied are files that do not exist, and read as empty ones.
	emptied map[string]bool

	mu    sync.Mutex
	files map[string]*file
	reads int
	// parsed counts the files that Documents has parsed.
	parsed int
	// touched is what was looked at, by whichever view.
	touched map[Read]bool
}

// Text is a file's text as renderers see it. Secrets are its decrypted values.
type Text struct {
	Bytes   []byte
	Secrets []string
}

type file struct {
	once sync.Once
	text Text
	hash string
	err  error

	parse     sync.Once
	documents []*yaml.Node
	parseErr  error
}

// Open opens the directory. Each file passes through decrypt, unless that is nil.
func Open(dir string, decrypt func(name string, text []byte) (Text, error)) (*Tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{
		dir: dir, root: root, open: decrypt, files: map[string]*file{}, touched: map[Read]bool{},
	}, nil
}

// Touched returns everything that was looked at since Open, by whichever view and whether it was there or
// not: files, lists of directories and, as Nothing, the kinds of paths. While none of it changes, neither
// does what was made of it.
func (t *Tree) Touched() []Read {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Keys(t.touched), Read.compare)
}

func (t *Tree) touch(kind Kind, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.touched[Read{kind, name}] = true
}

// Emptied opens the directory once more. Files of these names that do not exist read as empty ones there.
func (t *Tree) Emptied(names []string) (*Tree, error) {
	with, err := Open(t.dir, t.open)
	if err != nil {
		return nil, err
	}
	with.emptied = map[string]bool{}
	for _, name := range names {
		if kind, err := t.kind(name); err == nil && kind == Nothing {
			with.emptied[name] = true
		}
	}
	return with, nil
}

// IsEmptied reports whether a file does not exist and reads as an empty one.
func (t *Tree) IsEmptied(name string) bool { return t.emptied[name] }

// Close releases the directory.
func (t *Tree) Close() error { return t.root.Close() }

// Dir is the directory's absolute path, without links.
func (t *Tree) Dir() string { return t.dir }

// Counts returns how many files the tree has read, and how often views have asked for their text. They are
// equal where each file is parsed once. Parsed is how many of them Documents has parsed.
func (t *Tree) Counts() (files, reads, parsed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.files), t.reads, t.parsed
}

// Clean returns the canonical form of a path relative to the tree. It also accepts an absolute path below the
// directory.
func (t *Tree) Clean(name string) (string, error) {
	if filepath.IsAbs(name) {
		rest, ok := strings.CutPrefix(filepath.Clean(name)+"/", strings.TrimSuffix(t.dir, "/")+"/")
		if !ok {
			return "", &RefusedError{What: name, Why: "an absolute path outside the project"}
		}
		name = strings.TrimSuffix(rest, "/")
	}
	name = path.Clean(filepath.ToSlash(name))
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", &RefusedError{What: name, Why: outside}
	}
	return name, nil
}

// load reads a file once, and counts how often it is asked for.
func (t *Tree) load(name string) *file {
	t.mu.Lock()
	t.reads++
	t.mu.Unlock()
	return t.file(name)
}

func (t *Tree) file(name string) *file {
	t.mu.Lock()
	f := t.files[name]
	if f == nil {
		f = &file{}
		t.files[name] = f
	}
	t.mu.Unlock()
	f.once.Do(func() {
		t.touch(File, name)
		raw, err := t.raw(name)
		if f.err = err; err != nil {
			return
		}
		f.hash = hashOf(raw)
		f.text = Text{Bytes: raw}
		if t.open != nil {
			f.text, f.err = t.open(name, raw)
		}
	})
	return f
}

func (t *Tree) raw(name string) ([]byte, error) {
	if t.emptied[name] {
		return nil, nil
	}
	info, err := t.root.Stat(name)
	if err != nil {
		return nil, t.explain(name, err)
	}
	if !info.Mode().IsRegular() { // a pipe would block forever
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := t.root.Open(name)
	if err != nil {
		return nil, t.explain(name, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, t.explain(name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", name, maxFile>>20)
	}
	return text, nil
}

// explain rewrites the operating system's error about a path.
func (t *Tree) explain(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &MissingError{name, err}
	case strings.Contains(err.Error(), "escapes"):
		return &RefusedError{What: name, Why: outside}
	}
	return err
}
