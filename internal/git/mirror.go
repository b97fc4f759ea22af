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

	// filled: it has commits.
	filled bool
}

// ErrNoBranch says that a remote repository does not have a branch.
var ErrNoBranch = errors.New("no such branch")

// OpenMirror prepares a mirror of url in dir, which is made when there is none. It does not ask the server.
// The URL must not contain credentials: other processes see the arguments of git.
func OpenMirror(ctx context.Context, url, dir string, a Access) (*Mirror, error) {
	m := &Mirror{Repository: Repository{Dir: dir, access: &a}}
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

// smallBlob is how large a file may be that comes with its commit. A pass needs the manifests among these,
// and another request for them would take as long as that for the commit.
const smallBlob = "64k"

// Fetch fetches the commit of a branch with its directories, and returns it. The first fetch takes this one
// commit where the server allows that. Later ones take its small new files too.
func (m *Mirror) Fetch(ctx context.Context, branch string) (string, error) {
	return m.FetchInto(ctx, branch, "refs/remotes/origin/"+branch)
}

// FetchInto is Fetch with the name of the ref that holds the commit in the mirror.
func (m *Mirror) FetchInto(ctx context.Context, branch, ref string) (string, error) {
	from := []string{"--end-of-options", "origin", "+refs/heads/" + branch + ":" + ref}
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head"}
	if !m.filled {
		refs, err := m.run(ctx, "for-each-ref", "--count=1")
		if err != nil {
			return "", err
		}
		m.filled = refs != ""
	}
	shallow := args
	if m.filled {
		args = append(args, "--filter=blob:limit="+smallBlob)
		shallow = args
	} else {
		args = append(args, "--filter=blob:none")
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
	m.filled = true
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

// FetchTrees fetches the directories of a commit that Deepen left out, as far as no other commit in the
// mirror has them.
func (m *Mirror) FetchTrees(ctx context.Context, commit string) error {
	_, err := m.runRemote(ctx, "ls-tree", "-r", "-t", "--name-only", "--full-tree", "--end-of-options", commit)
	return err
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

// Blobs calls f with the content of each blob. Those that the mirror lacks are fetched in one request, and
// come last. A blob that is larger than limit bytes is not read: its content is nil, with its size.
func (m *Mirror) Blobs(
	ctx context.Context, hashes []string, limit int64, f func(hash string, content []byte, size int64) error,
) error {
	missing, err := m.read(ctx, hashes, limit, f)
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := m.fetchBlobs(ctx, missing); err != nil {
		return err
	}
	missing, err = m.read(ctx, missing, limit, f)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: git cat-file: %s missing", ErrCorrupt, missing[0])
	}
	return err
}

// read is Blobs without a request. It returns the blobs that the mirror lacks.
func (m *Mirror) read(
	ctx context.Context, hashes []string, limit int64, f func(hash string, content []byte, size int64) error,
) (missing []string, err error) {
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
	missing, err = readBlobs(bufio.NewReader(reader), hashes, limit, f)
	if err != nil {
		cancel()
	}
	reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if failed := <-done; failed != nil && err == nil {
		err = failed
	}
	return missing, err
}

func lines(hashes []string) string { return strings.Join(hashes, "\n") + "\n" }

// fetchBlobs fetches blobs that the mirror lacks: git would fetch one by one what it is asked for.
func (m *Mirror) fetchBlobs(ctx context.Context, missing []string) error {
	fetch := command{
		dir: m.Dir, access: m.access, remote: true, stdin: strings.NewReader(lines(missing)),
		env: []string{
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=fetch.negotiationAlgorithm", "GIT_CONFIG_VALUE_0=noop",
		},
	}
	_, err := fetch.run(ctx, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none",
		"--stdin", "origin")
	return err
}

// readBlobs reads the output of git cat-file --batch. It returns the blobs that are missing.
func readBlobs(
	r *bufio.Reader, hashes []string, limit int64, f func(hash string, content []byte, size int64) error,
) (missing []string, err error) {
	for _, h := range hashes {
		head, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("%w: git cat-file: %w", ErrCorrupt, err)
		}
		fields := strings.Fields(head)
		if len(fields) == 2 && fields[1] == "missing" {
			missing = append(missing, h)
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("%w: git cat-file: %s", ErrCorrupt, strings.TrimSpace(head))
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git cat-file: %w", err)
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
			return nil, err
		}
	}
	return missing, nil
}

// Raw returns a commit as Git stores it: headers, an empty line, the message.
func (m *Mirror) Raw(ctx context.Context, commit string) (string, error) {
	return m.run(ctx, "cat-file", "commit", commit)
}
