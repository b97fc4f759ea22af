package render

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
)

// What one render may read. Bases that include others several times over pass any limit on files:
// what gives them away is that the same ones are read again and again.
const (
	maxFile    = 8 << 20
	maxTotal   = 64 << 20
	maxFiles   = 20_000
	maxRereads = 1_000
)

// tree is the project's folder as a render sees it: rooted, read-only, with budgets.
type tree struct {
	ctx     context.Context
	dir     string // absolute, without links
	root    *os.Root
	bytes   int64 // read so far
	rereads int
	// files are the texts read so far, by path relative to dir.
	files map[string][]byte
}

func openTree(ctx context.Context, dir string) (*tree, error) {
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
	return &tree{ctx: ctx, dir: dir, root: root, files: map[string][]byte{}}, nil
}

func (t *tree) close() { t.root.Close() }

func join(elements ...string) string { return path.Join(elements...) }

// read gives a file's text, once, within the budgets.
func (t *tree) read(name string) ([]byte, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	name = path.Clean(filepath.ToSlash(name))
	if text, ok := t.files[name]; ok {
		if t.rereads++; t.rereads > maxRereads {
			return nil, fmt.Errorf("%s: the same files are read again more than %d times: do bases include each other several times over?", name, maxRereads)
		}
		return text, nil
	}
	if len(t.files) == maxFiles {
		return nil, fmt.Errorf("more than %d files", maxFiles)
	}
	info, err := t.root.Stat(name)
	if err != nil {
		return nil, t.explain(name, err)
	}
	if !info.Mode().IsRegular() { // a pipe would block for ever
		return nil, fmt.Errorf("%s is no regular file", name)
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
	t.files[name] = text
	if t.bytes += int64(len(text)); t.bytes > maxTotal {
		return nil, fmt.Errorf("more than %d MiB are read", maxTotal>>20)
	}
	return text, nil
}

// explain says about a path what the operating system says in its own way.
func (t *tree) explain(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file or folder%w", name, hidden{err})
	case strings.Contains(err.Error(), "escapes"):
		return &RefusedError{What: name, Why: "it is outside the project"}
	}
	return err
}

// hidden keeps a cause for errors.Is without repeating it.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

func (t *tree) isFile(elements ...string) bool {
	info, err := t.root.Stat(join(elements...))
	return err == nil && info.Mode().IsRegular()
}

func (t *tree) isFolder(name string) bool {
	info, err := t.root.Stat(name)
	return err == nil && info.IsDir()
}

func (t *tree) absent(name string) bool {
	_, err := t.root.Stat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// kustomization is the name of a folder's kustomization file; empty where there is none.
func (t *tree) kustomization(folder string) (string, error) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if t.isFile(folder, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s has more than one kustomization: %s", folder, strings.Join(found, ", "))
}

// real follows the links of a path by itself and gives it relative to dir; what leads out is refused.
func (t *tree) real(name string) (string, error) {
	parts, done := strings.Split(path.Clean(name), "/"), "."
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		if part == "." || part == "" {
			continue
		}
		if part == ".." {
			if done == "." {
				return "", &RefusedError{What: name, Why: "it is outside the project"}
			}
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		info, err := t.root.Lstat(next)
		if err != nil {
			return "", t.explain(next, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("%s: links without end", name)
		}
		target, err := t.root.Readlink(next)
		if err != nil {
			return "", t.explain(next, err)
		}
		if filepath.IsAbs(target) {
			return "", &RefusedError{What: name, Why: "it is a link that leads outside the project"}
		}
		parts = append(strings.Split(filepath.ToSlash(target), "/"), parts...)
	}
	return done, nil
}
