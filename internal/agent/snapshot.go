package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// The limits of the files of one commit that are written to disk.
const (
	maxFiles = 20_000
	maxFile  = 8 << 20 // as for rendering
	maxBytes = 256 << 20
)

// snapshot is one commit of a repository: all its paths, and the files that reading the project has needed so
// far. Environments share it; it grows while they use it.
type snapshot struct {
	commit string
	root   string // the directory of the files
	fetch  fetchFunc
	// entries are all paths of the commit; children the names in each directory, "." being the root.
	entries  map[string]git.Entry
	children map[string][]string

	mu      sync.Mutex
	written map[string]bool
	targets map[string]string // of links
	modules map[string]string // submodules that are not fetched, and why
	homes   homes
	refused map[string]error // paths that are not written, and why
	bytes   int64
	users   int // of the remote
	// bundle is what a rendered set has beside its files; nil: this is a commit of Git.
	bundle *pulled

	projects projects
}

// fetchFunc calls a function with the content of blobs. The content of one over the limit is nil.
type fetchFunc = func(
	ctx context.Context, hashes []string, each func(hash string, content []byte, size int64) error,
) error

// RefusedError says that the agent does not use a path of a repository that a render needs.
type RefusedError struct{ Path, Reason string }

func (e *RefusedError) Error() string { return fmt.Sprintf("%q: %s", e.Path, e.Reason) }

// newSnapshot writes the files that a project usually needs: manifests, charts and links.
func newSnapshot(ctx context.Context, commit, root string, of content, fetch fetchFunc) (*snapshot, error) {
	s := &snapshot{
		commit: commit, root: root, fetch: fetch, homes: of.homes, modules: of.refused,
		entries: map[string]git.Entry{}, children: map[string][]string{},
		written: map[string]bool{".": true}, targets: map[string]string{}, refused: map[string]error{},
		projects: projects{opened: map[string]opened{}},
	}
	var first []string
	for _, e := range of.entries {
		s.entries[e.Path] = e
		s.children[path.Dir(e.Path)] = append(s.children[path.Dir(e.Path)], path.Base(e.Path))
		if e.Mode == git.ModeLink || e.Mode != git.ModeDirectory && e.Mode != git.ModeSubmodule && isUsual(e.Path) {
			first = append(first, e.Path)
		}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	return s, s.write(ctx, first)
}

// mayOpen returns why the project file of a directory, or of one above it, cannot be used; nil where it can.
func (s *snapshot) mayOpen(dir string) error {
	for at := dir; ; at = path.Dir(at) {
		if err := s.why("", []tree.Read{{Kind: tree.File, Path: path.Join(at, project.File)}}); err != nil {
			return err
		}
		if at == "." {
			return nil
		}
	}
}

// isUsual reports whether reading a project may need a file of this name. Others are fetched when they are
// asked for.
func isUsual(name string) bool {
	base := path.Base(name)
	switch path.Ext(base) {
	case ".yaml", ".yml", ".json", ".tpl", ".tgz", ".env", ".properties":
		return true
	}
	return slices.Contains([]string{
		"Chart.lock", ".helmignore", "Dockerfile", "Tiltfile", "kustomization", "Kustomization",
	}, base)
}

// complete says whether all that a job looked at below a directory was there. What was not is there the next
// time. It fails where one of these files cannot be used.
func (s *snapshot) complete(ctx context.Context, dir string, looked []tree.Read) (bool, error) {
	if lacked, err := s.need(ctx, dir, looked); lacked || err != nil {
		return false, err
	}
	return true, s.why(dir, looked)
}

// need writes what was looked at and is not there yet, and returns whether there was any such thing: what was
// made of the files before is wrong then.
func (s *snapshot) need(ctx context.Context, dir string, looked []tree.Read) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lacking []string
	add := func(name string) {
		if _, is := s.entries[name]; is && !s.written[name] && s.refused[name] == nil {
			lacking = append(lacking, name)
		}
	}
	for _, r := range looked {
		real, ok := s.resolve(path.Join(dir, r.Path))
		if !ok {
			continue
		}
		add(real)
		if r.Kind == tree.Directory {
			for _, name := range s.children[real] {
				add(path.Join(real, name))
			}
		}
	}
	if len(lacking) == 0 {
		return false, nil
	}
	slices.Sort(lacking)
	return true, s.write(ctx, slices.Compact(lacking))
}

// resolve follows the links of a path. It returns false for one that leads out of the repository or nowhere.
func (s *snapshot) resolve(name string) (string, bool) {
	parts, done := strings.Split(path.Clean(name), "/"), "."
	for links := 0; len(parts) > 0; {
		next := path.Join(done, parts[0])
		parts = parts[1:]
		if next == ".." || strings.HasPrefix(next, "../") {
			return "", false
		}
		target, isLink := s.targets[next]
		if !isLink {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", false
		}
		parts = append(strings.Split(target, "/"), parts...)
	}
	return done, true
}

// why returns why what was looked at cannot be used; nil where it can.
func (s *snapshot) why(dir string, looked []tree.Read) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range looked {
		real, ok := s.resolve(path.Join(dir, r.Path))
		if !ok {
			continue
		}
		for at := real; ; at = path.Dir(at) {
			if err := s.refused[at]; err != nil {
				return err
			}
			if at == "." {
				break
			}
		}
		if r.Kind != tree.Directory {
			continue
		}
		for _, name := range s.children[real] {
			if err := s.refused[path.Join(real, name)]; err != nil {
				return err
			}
		}
	}
	return nil
}

// key identifies what was looked at, as this commit has it: two commits with the same key render alike.
func (s *snapshot) key(dir string, looked []tree.Read) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := sha256.New()
	for _, r := range looked {
		name := path.Join(dir, r.Path)
		real, ok := s.resolve(name)
		e := s.entries[real]
		content := e.Hash
		if e.Mode == git.ModeDirectory {
			content = ""
		}
		fmt.Fprintf(h, "%s %q %t %q %s %s\n", r.Kind, name, ok, real, e.Mode, content)
		if r.Kind != tree.Directory {
			continue
		}
		for _, child := range s.children[real] {
			fmt.Fprintf(h, "%q %s\n", child, s.entries[path.Join(real, child)].Mode)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write writes files, and the directories that they are in. The caller holds the lock, or is the only user.
func (s *snapshot) write(ctx context.Context, names []string) error {
	var hashes []string
	wanted := map[string][]string{} // by hash
	for _, name := range names {
		e := s.entries[name]
		switch reason := cmp.Or(unusable(e), s.modules[name]); {
		case reason != "":
			s.refused[name] = &RefusedError{name, reason}
		case e.Mode == git.ModeDirectory:
			if err := s.directory(name); err != nil {
				return err
			}
		default:
			if wanted[e.Hash] == nil {
				hashes = append(hashes, e.Hash)
			}
			wanted[e.Hash] = append(wanted[e.Hash], name)
		}
	}
	if len(s.written)+len(names) > maxFiles {
		return fmt.Errorf("%w: commit %s has more than %d manifests", git.ErrTooLarge, short(s.commit), maxFiles)
	}
	if len(hashes) == 0 {
		return nil
	}
	return s.fetch(ctx, hashes, func(hash string, content []byte, size int64) error {
		for _, name := range wanted[hash] {
			if err := s.file(s.entries[name], content, size); err != nil {
				return err
			}
		}
		return nil
	})
}

// unusable says why a path is not written; empty: it is.
func unusable(e git.Entry) string {
	for part := range strings.SplitSeq(e.Path, "/") {
		lower := strings.ToLower(part)
		if part == "" || part == "." || part == ".." || lower == ".git" || lower == "git~1" {
			return "a repository must not have such a path"
		}
		if len(part) > 255 {
			return "the name has more than 255 bytes"
		}
	}
	return ""
}

// directory makes a directory and those above it.
func (s *snapshot) directory(name string) error {
	for at := name; !s.written[at]; at = path.Dir(at) {
		s.written[at] = true
	}
	return os.MkdirAll(filepath.Join(s.root, filepath.FromSlash(name)), 0o700)
}

var lfs = []byte("version https://git-lfs.github.com/spec/")

// file writes a file or a link.
func (s *snapshot) file(e git.Entry, content []byte, size int64) error {
	refuse := func(reason string) error {
		s.refused[e.Path] = &RefusedError{e.Path, reason}
		return nil
	}
	if err := s.directory(path.Dir(e.Path)); err != nil {
		return err
	}
	switch {
	case content == nil && size > 0:
		return refuse(fmt.Sprintf("larger than %d MiB", maxFile>>20))
	case bytes.HasPrefix(content, lfs):
		return refuse("a Git LFS pointer: the content is elsewhere. Commit the file itself")
	}
	if s.bytes += size; s.bytes > maxBytes {
		return fmt.Errorf("%w: commit %s has more than %d MiB of manifests", git.ErrTooLarge, short(s.commit),
			maxBytes>>20)
	}
	at := filepath.Join(s.root, filepath.FromSlash(e.Path))
	if e.Mode == git.ModeLink {
		target := string(content)
		if leadsOut(e.Path, target) {
			return refuse(fmt.Sprintf("a link that leads out of the repository, to %q", target))
		}
		s.targets[e.Path], s.written[e.Path] = target, true
		return os.Symlink(target, at)
	}
	s.written[e.Path] = true
	// Never through a link, and never over something.
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(content))
	return errors.Join(err, f.Close())
}

// leadsOut reports whether a link may lead out of the repository. Only ".." at its beginning counts up from
// the link's own directory; later on it may count from the target of another link.
func leadsOut(name, target string) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return true
	}
	depth, below := strings.Count(name, "/"), false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "..":
			if depth--; depth < 0 || below {
				return true
			}
		case part != "." && part != "":
			below = true
		}
	}
	return false
}
