package git

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mirror is a bare clone of a repository of others. It has commits and directories; the content of files is
// fetched when it is asked for. History before the first commit that was fetched is missing until Deepen.
// Several goroutines may read it while none of them fetches.
type Mirror struct {
	Repository

	url string
	// known are blobs that the mirror has. It has no others where listed is true.
	known  map[string]bool
	listed bool
}

// ErrNoBranch says that a remote repository does not have a branch.
var ErrNoBranch = errors.New("no such branch")

// OpenMirror prepares a mirror of url in dir, which is made when there is none. It does not ask the server.
// The URL must not contain credentials: other processes see the arguments of git.
func OpenMirror(ctx context.Context, url, dir string, a Access) (*Mirror, error) {
	m := &Mirror{Repository: Repository{Dir: dir, access: &a}, url: url, known: map[string]bool{}}
	if _, err := os.Stat(filepath.Join(dir, "made")); err == nil {
		return m, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// What a process that was killed has left.
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	if _, err := m.run(ctx, "init", "--quiet", "--bare", "--template=", "."); err != nil {
		return nil, err
	}
	for _, s := range [][2]string{
		{"core.repositoryFormatVersion", "1"}, {"remote.origin.url", url},
	} {
		if _, err := m.run(ctx, "config", s[0], s[1]); err != nil {
			return nil, err
		}
	}
	return m, os.WriteFile(filepath.Join(dir, "made"), nil, 0o600)
}

// Use replaces how the repository is reached, as when credentials have changed.
func (m *Mirror) Use(a Access) { m.access = &a }

// Discard deletes the mirror's files. OpenMirror makes it anew.
func (m *Mirror) Discard() error { return os.RemoveAll(m.Dir) }

// Tips asks the server for the commits of some branches, in one request. A branch that does not exist is left
// out.
func (m *Mirror) Tips(ctx context.Context, branches ...string) (map[string]string, error) {
	args := []string{"ls-remote", "--quiet", "--end-of-options", "origin"}
	for _, b := range branches {
		args = append(args, "refs/heads/"+b)
	}
	out, err := m.runRemote(ctx, args...)
	if err != nil {
		return nil, err
	}
	tips := map[string]string{}
	for line := range strings.Lines(out) {
		hash, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		// A pattern also matches refs that end with it.
		if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			tips[b] = hash
		}
	}
	return tips, nil
}

// Fetch fetches the commit of a branch with its directories, and returns it. The first fetch takes this one
// commit where the server allows that.
func (m *Mirror) Fetch(ctx context.Context, branch string) (string, error) {
	ref := "refs/remotes/origin/" + branch
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none"}
	from := []string{"--end-of-options", "origin", "+refs/heads/" + branch + ":" + ref}
	shallow := args
	if empty, err := m.run(ctx, "for-each-ref", "--count=1"); err != nil {
		return "", err
	} else if empty == "" {
		shallow = append(args, "--depth=1")
	}
	_, err := m.runRemote(ctx, append(shallow, from...)...)
	if err != nil && strings.Contains(err.Error(), "does not support shallow") {
		_, err = m.runRemote(ctx, append(args, from...)...)
	}
	if err != nil {
		if strings.Contains(err.Error(), "couldn't find remote ref") {
			err = fmt.Errorf("%w as %s", ErrNoBranch, branch)
		}
		return "", err
	}
	if err := m.checkSize(); err != nil {
		return "", err
	}
	out, err := m.run(ctx, "rev-parse", "--verify", "--end-of-options", ref+"^{commit}")
	return strings.TrimSpace(out), err
}

// checkSize fails where the mirror is larger than it may be.
func (m *Mirror) checkSize() error {
	if limit := cmp.Or(m.access.Size, maxSize); sizeOf(m.Dir) > limit {
		return fmt.Errorf("%w: the clone has more than %d MiB, the limit", ErrTooLarge, limit>>20)
	}
	return nil
}

// Deepen fetches the history that a shallow fetch left out: commits, without their directories. It reports
// whether there was any.
func (m *Mirror) Deepen(ctx context.Context) (bool, error) {
	if !m.IsShallow(ctx) {
		return false, nil
	}
	_, err := m.runRemote(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=tree:0",
		"--unshallow", "origin")
	return err == nil, err
}

// Has reports whether the mirror has a commit.
func (m *Mirror) Has(ctx context.Context, commit string) bool {
	out, err := m.run(ctx, "rev-list", "--ignore-missing", "--max-count=1", "--end-of-options", commit, "--")
	return err == nil && out != ""
}

// Entry is one path of a commit.
type Entry struct {
	// Mode is Git's, such as "100644"; Hash that of the content or the directory.
	Mode, Hash, Path string
}

// The modes of entries that are not files.
const (
	ModeDirectory = "040000"
	ModeLink      = "120000"
	ModeSubmodule = "160000"
)

// maxEntries is more than the paths of a large repository.
const maxEntries = 1_000_000

// List lists all paths of a commit, directories before what is in them.
func (m *Mirror) List(ctx context.Context, commit string) ([]Entry, error) {
	var entries []Entry
	out, err := m.run(ctx, "ls-tree", "-r", "-t", "-z", "--full-tree", "--end-of-options", commit)
	if err != nil {
		return nil, err
	}
	for len(out) > 0 {
		var line string
		line, out, _ = strings.Cut(out, "\x00")
		head, path, _ := strings.Cut(line, "\t")
		f := strings.Fields(head) // mode, type, hash
		if len(f) != 3 {
			return nil, fmt.Errorf("git ls-tree: %q", line)
		}
		if entries = append(entries, Entry{Mode: f[0], Hash: f[2], Path: path}); len(entries) > maxEntries {
			return nil, fmt.Errorf("%w: commit %s has more than %d paths", ErrTooLarge, Short(commit), maxEntries)
		}
	}
	return entries, nil
}

// Blobs calls f with the content of each blob, in their order. Those that the mirror lacks are fetched in one
// request. A blob that is larger than limit bytes is not read: its content is nil, with its size.
func (m *Mirror) Blobs(
	ctx context.Context, hashes []string, limit int64, f func(hash string, content []byte, size int64) error,
) error {
	if err := m.fetchBlobs(ctx, hashes); err != nil {
		return err
	}
	// The pipe ends when git does, and git ends when the pipe is closed.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := command{dir: m.Dir, access: m.access, stdin: strings.NewReader(lines(hashes))}.stream(ctx, writer,
			"cat-file", "--batch")
		writer.CloseWithError(err)
		done <- err
	}()
	err := readBlobs(bufio.NewReader(reader), hashes, limit, f)
	if err != nil {
		cancel()
	}
	reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if failed := <-done; failed != nil && err == nil {
		err = failed
	}
	return err
}

func lines(hashes []string) string { return strings.Join(hashes, "\n") + "\n" }

// fetchBlobs fetches those of some blobs that the mirror lacks.
func (m *Mirror) fetchBlobs(ctx context.Context, hashes []string) error {
	missing := m.missing(hashes)
	if len(missing) > 0 && !m.listed {
		// Git would fetch one by one what it is asked for.
		if err := m.listBlobs(ctx); err != nil {
			return err
		}
		missing = m.missing(hashes)
		m.listed = len(missing) > 0 // else the server may ignore filters: look again after the next fetch
	}
	if len(missing) == 0 {
		return nil
	}
	fetch := command{
		dir: m.Dir, access: m.access, remote: true, stdin: strings.NewReader(lines(missing)),
		env: []string{
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=fetch.negotiationAlgorithm", "GIT_CONFIG_VALUE_0=noop",
		},
	}
	_, err := fetch.run(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none",
		"--stdin", "origin")
	if err != nil {
		return err
	}
	for _, h := range missing {
		m.known[h] = true
	}
	return nil
}

func (m *Mirror) missing(hashes []string) []string {
	var missing []string
	for _, h := range hashes {
		if !m.known[h] {
			missing = append(missing, h)
		}
	}
	return missing
}

// listBlobs notes which blobs the mirror has.
func (m *Mirror) listBlobs(ctx context.Context) error {
	out, err := m.run(ctx, "cat-file", "--batch-all-objects", "--unordered",
		"--batch-check=%(objecttype) %(objectname)")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "blob "); ok {
			m.known[h] = true
		}
	}
	return nil
}

// readBlobs reads the output of git cat-file --batch.
func readBlobs(
	r *bufio.Reader, hashes []string, limit int64, f func(hash string, content []byte, size int64) error,
) error {
	for _, h := range hashes {
		head, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%w: git cat-file: %w", ErrCorrupt, err)
		}
		fields := strings.Fields(head)
		if len(fields) != 3 {
			return fmt.Errorf("%w: git cat-file: %s", ErrCorrupt, strings.TrimSpace(head))
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return fmt.Errorf("git cat-file: %w", err)
		}
		var content []byte
		if size > limit {
			_, err = io.CopyN(io.Discard, r, size)
		} else {
			content = make([]byte, size)
			_, err = io.ReadFull(r, content)
		}
		if err == nil {
			_, err = r.Discard(1)
		}
		if err == nil {
			err = f(h, content, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Raw returns a commit as Git stores it: headers, an empty line, the message.
func (m *Mirror) Raw(ctx context.Context, commit string) (string, error) {
	return m.run(ctx, "cat-file", "commit", commit)
}
