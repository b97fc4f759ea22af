package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What one render may read. Bases that include others several times over pass any limit on files: so reading
// the same files again and again is limited.
const (
	maxTotal   = 64 << 20
	maxFiles   = 20_000
	maxRereads = 1_000
)

// View is the tree as one render sees it: it counts against the budgets and notes what was looked at. It must
// not be used from several goroutines.
type View struct {
	*Tree
	ctx     context.Context
	reads   map[Read]string
	read    map[string]bool
	bytes   int64
	rereads int
	secrets []string
	edits   map[string]edit
}

// edit is another text for a file.
type edit struct {
	text []byte
	hash string
}

// View begins a render.
func (t *Tree) View(ctx context.Context) *View { return t.Edited(ctx, nil) }

// Edited begins a render that sees other texts in place of some files, by their paths.
func (t *Tree) Edited(ctx context.Context, edits map[string][]byte) *View {
	hashed := map[string]edit{}
	for name, text := range edits {
		hashed[name] = edit{text, hashOf(text)}
	}
	return t.edited(ctx, hashed)
}

func (t *Tree) edited(ctx context.Context, edits map[string]edit) *View {
	return &View{Tree: t, ctx: ctx, reads: map[Read]string{}, read: map[string]bool{}, edits: edits}
}

// IsEdited reports whether the view shows edited texts: its results must not be shared.
func (v *View) IsEdited() bool { return len(v.edits) > 0 }

// Differs reports whether the view shows another text for one of the files that were read.
func (v *View) Differs(r Reads) bool {
	for name := range v.edits {
		if _, ok := r.seen[Read{File, name}]; ok {
			return true
		}
	}
	return false
}

// Apart runs a function that fills a cache and returns its reads, for every user of the cache to pass to
// Replay. They count for v as well.
func (v *View) Apart(f func(*View) error) (Reads, error) {
	part := v.Tree.edited(v.ctx, v.edits)
	part.bytes, part.rereads = v.bytes, v.rereads
	err := f(part)
	v.bytes, v.rereads = part.bytes, part.rereads
	reads := part.Reads()
	v.Replay(reads)
	return reads, err
}

// Part runs a function that renders one part of what the view is for, and returns its reads. A file that
// several parts read counts once for v.
func (v *View) Part(f func(*View) error) (Reads, error) {
	part := v.Tree.edited(v.ctx, v.edits)
	part.bytes = v.bytes
	err := f(part)
	v.bytes, v.rereads = part.bytes, max(v.rereads, part.rereads)
	for name := range part.read {
		if v.read[name] {
			v.bytes -= int64(len(v.shown(name, v.file(name)).text.Bytes))
		}
		v.read[name] = true
	}
	reads := part.Reads()
	v.Replay(reads)
	return reads, err
}

// Shows reports whether the view shows what was read: the same texts for the same files. Reads are of views
// of the same tree, so only edits can make a difference.
func (v *View) Shows(r Reads) bool {
	for name, e := range v.edits {
		if hash, ok := r.seen[Read{File, name}]; ok && hash != e.hash {
			return false
		}
	}
	for _, name := range r.edited {
		if _, ok := v.edits[name]; !ok {
			return false
		}
	}
	return true
}

// shown is a file of the tree as the view shows it.
func (v *View) shown(name string, f *file) *file {
	if e, ok := v.edits[name]; ok && f.err == nil {
		return &file{text: Text{Bytes: e.text, Secrets: f.text.Secrets}, hash: e.hash}
	}
	return f
}

// Replay notes reads that another view did on this view's behalf.
func (v *View) Replay(r Reads) {
	for read, hash := range r.seen {
		v.reads[read] = hash
	}
	v.secrets = append(v.secrets, r.secrets...)
}

// Context is the render's.
func (v *View) Context() context.Context { return v.ctx }

// File returns a file's text within the budgets. The error for a missing one is an fs.ErrNotExist. The text
// is not for writing.
func (v *View) File(name string) ([]byte, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	name, err := v.Clean(name)
	if err != nil {
		return nil, err
	}
	if v.read[name] {
		if v.rereads++; v.rereads > maxRereads {
			return nil, fmt.Errorf("%s: files are read again more than %d times: check for bases that include each "+
				"other several times", name, maxRereads)
		}
	}
	if len(v.read) == maxFiles {
		return nil, fmt.Errorf("more than %d files", maxFiles)
	}
	f := v.shown(name, v.load(name))
	v.note(Read{File, name}, f.hash, f.err)
	if f.err != nil {
		return nil, f.err
	}
	if !v.read[name] {
		v.read[name] = true
		v.secrets = append(v.secrets, f.text.Secrets...)
		if v.bytes += int64(len(f.text.Bytes)); v.bytes > maxTotal {
			return nil, fmt.Errorf("more than %d MiB are read", maxTotal>>20)
		}
	}
	return f.text.Bytes, nil
}

// Documents returns the YAML documents of a file, which are not for writing. A file is parsed once for all
// views of the tree, except by a view that edits it. An error comes with the documents before the mistake.
func (v *View) Documents(name string) ([]*yaml.Node, error) {
	text, err := v.File(name)
	if err != nil {
		return nil, err
	}
	if name, err = v.Clean(name); err != nil {
		return nil, err
	}
	if _, edited := v.edits[name]; edited {
		return parse(text)
	}
	f := v.load(name)
	f.parse.Do(func() {
		v.mu.Lock()
		v.parsed++
		v.mu.Unlock()
		f.documents, f.parseErr = parse(text)
	})
	return f.documents, f.parseErr
}

func parse(text []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	for stream := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		if err := stream.Decode(&n); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return docs, err
		}
		docs = append(docs, &n)
	}
}

// Directory lists a directory in the order of names.
func (v *View) Directory(name string) ([]fs.DirEntry, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	name, err := v.Clean(name)
	if err != nil {
		return nil, err
	}
	entries, err := v.list(name)
	v.note(Read{Directory, name}, hashOfEntries(entries), err)
	return entries, err
}

func (t *Tree) list(name string) ([]fs.DirEntry, error) {
	t.touch(Directory, name)
	entries, err := fs.ReadDir(t.root.FS(), name)
	if err != nil {
		return nil, t.explain(name, err)
	}
	return entries, nil
}

// Kind returns what is at a path: File, Directory or Nothing. A path that leads out of the tree, or to
// something else, is an error.
func (v *View) Kind(name string) (Kind, error) {
	name, err := v.Clean(name)
	if err != nil {
		return Nothing, err
	}
	kind, err := v.kind(name)
	v.note(Read{Nothing, name}, string(kind), err)
	return kind, err
}

func (t *Tree) kind(name string) (Kind, error) {
	if t.emptied[name] {
		return File, nil
	}
	t.touch(Nothing, name)
	info, err := t.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err != nil && strings.Contains(err.Error(), "not a directory"):
		return Nothing, nil
	case err != nil:
		return Nothing, t.explain(name, err)
	case info.IsDir():
		return Directory, nil
	case info.Mode().IsRegular():
		return File, nil
	}
	return Nothing, fmt.Errorf("%s is not a regular file", name)
}

// IsFile reports whether a path leads to a file.
func (v *View) IsFile(elements ...string) bool {
	kind, err := v.Kind(path.Join(elements...))
	return err == nil && kind == File
}

// IsDirectory reports whether a path leads to a directory.
func (v *View) IsDirectory(elements ...string) bool {
	kind, err := v.Kind(path.Join(elements...))
	return err == nil && kind == Directory
}

// Real follows the links of a path by itself and gives it relative to the tree; a path that leads out of the
// tree is refused.
func (v *View) Real(name string) (string, error) {
	name, err := v.Clean(name)
	if err != nil {
		return "", err
	}
	parts, done := strings.Split(name, "/"), "."
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		if part == "." || part == "" {
			continue
		}
		if part == ".." {
			if done == "." {
				return "", &RefusedError{What: name, Why: outside}
			}
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		if v.emptied[next] {
			done = next
			continue
		}
		v.touch(Nothing, next)
		info, err := v.root.Lstat(next)
		if err != nil {
			v.note(Read{Nothing, next}, string(Nothing), nil)
			return "", v.explain(next, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("%s: too many levels of symbolic links", name)
		}
		target, err := v.root.Readlink(next)
		if err != nil {
			return "", v.explain(next, err)
		}
		v.note(Read{Link, next}, target, nil)
		if filepath.IsAbs(target) {
			return "", &RefusedError{What: name, Why: "a link that leads outside the project"}
		}
		parts = append(strings.Split(filepath.ToSlash(target), "/"), parts...)
	}
	return done, nil
}

// Secrets are the values that were decrypted for the files that this view has read.
func (v *View) Secrets() []string { return slices.Clone(v.secrets) }
