package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/git"
)

// clone is the copy of a repository on disk, with those of its submodules. The goroutine that holds the lock
// of the remote alone uses it.
type clone struct {
	url     string
	dir     string
	access  func(context.Context) (git.Access, error)
	maxSize int64       // 0: git's own limit
	mirror  *git.Mirror // nil: open makes it
	modules *modules    // nil: submodules are not fetched
	// fetched: something was fetched since the clone was made.
	fetched bool
}

func newClone(r Repository, state string) clone {
	sum := sha256.Sum256([]byte(sameRepository(r.URL)))
	c := clone{
		url: withoutPassword(r.URL), dir: filepath.Join(state, hex.EncodeToString(sum[:8])),
		access: accessTo(r),
	}
	if r.Submodules == Allow {
		c.modules = &modules{dir: c.dir + "-modules", mirrors: map[string]*git.Mirror{}}
	}
	return c
}

// open prepares the clone and its credentials, which may have changed.
func (c *clone) open(ctx context.Context) error {
	a, err := c.access(ctx)
	if err != nil {
		return err
	}
	a.Size = cmp.Or(a.Size, c.maxSize)
	if c.modules != nil {
		c.modules.use(a)
	}
	if c.mirror != nil {
		c.mirror.Use(a)
		return nil
	}
	c.mirror, err = git.OpenMirror(ctx, c.url, c.dir, a)
	return err
}

// fetch fetches a branch; a damaged clone is replaced, and one that has grown too large since it was made.
func (c *clone) fetch(ctx context.Context, branch string) (string, error) {
	commit, err := c.mirror.Fetch(ctx, branch)
	hasGrown := c.fetched && errors.Is(err, git.ErrTooLarge)
	if errors.Is(err, git.ErrCorrupt) || hasGrown {
		if err := c.replace(ctx); err != nil {
			return "", err
		}
		commit, err = c.mirror.Fetch(ctx, branch)
		c.fetched = false
	}
	c.fetched = c.fetched || err == nil
	return commit, nameLimit(err)
}

// replace makes the clone anew.
func (c *clone) replace(ctx context.Context) error {
	if err := errors.Join(c.mirror.Discard(), c.modules.discard()); err != nil {
		return err
	}
	c.mirror = nil
	return c.open(ctx)
}

// read reads a commit.
func (c *clone) read(ctx context.Context, commit string) (*snapshot, error) {
	of, err := c.content(ctx, commit)
	if err != nil {
		return nil, err
	}
	temporary, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context, hashes []string, each func(string, []byte, int64) error) error {
		return c.blobs(ctx, of.homes, hashes, each)
	}
	// Detection names a project after its directory.
	name := strings.TrimSuffix(filepath.Base(sameRepository(c.url)), ".git")
	s, err := newSnapshot(ctx, commit, filepath.Join(temporary, name), of, fetch)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	return s, nil
}

// snapshot reads a commit of a branch; a damaged clone is replaced.
func (c *clone) snapshot(ctx context.Context, branch, commit string) (*snapshot, error) {
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	s, err := c.read(ctx, commit)
	if !errors.Is(err, git.ErrCorrupt) {
		return s, err
	}
	if err := c.replace(ctx); err != nil {
		return nil, err
	}
	if _, err := c.mirror.Fetch(ctx, branch); err != nil {
		return nil, err
	}
	return c.read(ctx, commit)
}

// blobs calls a function with the content of blobs of the repository and of its submodules.
func (c *clone) blobs(
	ctx context.Context, at homes, hashes []string, each func(string, []byte, int64) error,
) error {
	of := map[*git.Mirror][]string{}
	for _, h := range hashes {
		m := c.mirror
		if other := at[h]; other != nil {
			m = other
		}
		of[m] = append(of[m], h)
	}
	for m, wanted := range of {
		if err := m.Blobs(ctx, wanted, maxFile, each); err != nil {
			return err
		}
	}
	return nil
}
