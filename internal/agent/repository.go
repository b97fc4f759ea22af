package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"slipway/internal/agent/child"
	"slipway/internal/git"
)

// author makes the reverts.
var author = git.Person{Name: "Slipway agent", Email: "agent@slipway.dev"}

// remote is one Git repository, however many entries of the configuration are of it and however they spell
// its URL: it has one clone, and is asked once per poll for all its branches.
type remote struct {
	url       string
	dir       string
	followers []*follower
	poke      chan struct{} // asks for a poll now
	children  *child.Pool
	access    func(context.Context) (git.Access, error)
	maxSize   int64 // of a clone; 0: git's own limit
	// registry has rendered sets in place of the clone; nil: this is a Git repository.
	registry *registry

	mu      sync.Mutex // of the clones
	mirror  *git.Mirror
	modules *modules // nil: submodules are not fetched
	// fetched: something was fetched since the clone was made.
	fetched bool

	notesMu sync.Mutex // of the notes in the clone

	snapshotsMu sync.Mutex
	snapshots   map[string]*snapshot // by commit
}

// newRemote returns the repository of an entry. Its clone is in a directory below state.
func newRemote(r Repository, state string, children *child.Pool) *remote {
	sum := sha256.Sum256([]byte(sameRepository(r.URL)))
	is := &remote{
		url: withoutPassword(r.URL), dir: filepath.Join(state, hex.EncodeToString(sum[:8])),
		poke: make(chan struct{}, 1), children: children, access: accessTo(r), snapshots: map[string]*snapshot{},
	}
	if r.isBundle() {
		is.registry = newRegistry(r)
	}
	if r.Submodules == Allow {
		is.modules = &modules{dir: is.dir + "-modules", mirrors: map[string]*git.Mirror{}}
	}
	return is
}

// isInCluster reports whether this process is a pod's: there it has no user whose configuration git could
// read.
func isInCluster() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }

// sameRepository returns one text for all spellings of a repository's URL: without credentials, the default
// port, ".git" and slashes at the end, and with the scheme and the host in lower case.
func sameRepository(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		host, name, ok := strings.Cut(address, ":") // git@github.com:acme/shop.git
		if !ok || strings.Contains(host, "/") {
			return address
		}
		u = &url.URL{Scheme: "ssh", Host: host[strings.LastIndexByte(host, '@')+1:], Path: "/" + name}
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443", "ssh": ":22"}[scheme])
	name := "/" + strings.Trim(u.Path, "/")
	return scheme + "://" + host + strings.TrimRight(strings.TrimSuffix(name, ".git"), "/")
}

// open prepares the clone and its credentials, which may have changed. The caller holds the lock.
func (r *remote) open(ctx context.Context) error {
	a, err := r.access(ctx)
	if err != nil {
		return err
	}
	a.Size = cmp.Or(a.Size, r.maxSize)
	if r.modules != nil {
		r.modules.use(a)
	}
	if r.mirror != nil {
		r.mirror.Use(a)
		return nil
	}
	r.mirror, err = git.OpenMirror(ctx, r.url, r.dir, a)
	return err
}

// fetch fetches a branch; a damaged clone is replaced, and one that has grown too large since it was made.
// The caller holds the lock.
func (r *remote) fetch(ctx context.Context, branch string) (string, error) {
	commit, err := r.mirror.Fetch(ctx, branch)
	hasGrown := r.fetched && errors.Is(err, git.ErrTooLarge)
	if errors.Is(err, git.ErrCorrupt) || hasGrown {
		if err := r.replace(ctx); err != nil {
			return "", err
		}
		commit, err = r.mirror.Fetch(ctx, branch)
		r.fetched = false
	}
	r.fetched = r.fetched || err == nil
	return commit, nameLimit(err)
}

// replace makes the clone anew. The caller holds the lock.
func (r *remote) replace(ctx context.Context) error {
	if err := errors.Join(r.mirror.Discard(), r.modules.discard()); err != nil {
		return err
	}
	r.mirror = nil
	return r.open(ctx)
}

// take returns the snapshot of a commit, which the caller gives back.
func (r *remote) take(ctx context.Context, branch, commit string) (*snapshot, error) {
	r.snapshotsMu.Lock()
	defer r.snapshotsMu.Unlock()
	if s := r.snapshots[commit]; s != nil {
		s.users++
		return s, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.registry != nil {
		return r.registry.snapshot(ctx, commit)
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	s, err := r.snapshot(ctx, commit)
	if errors.Is(err, git.ErrCorrupt) {
		if err = r.replace(ctx); err == nil {
			_, err = r.mirror.Fetch(ctx, branch)
		}
		if err == nil {
			s, err = r.snapshot(ctx, commit)
		}
	}
	if err != nil {
		return nil, err
	}
	s.fetch = func(ctx context.Context, hashes []string, each func(string, []byte, int64) error) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.open(ctx); err != nil {
			return err
		}
		return r.blobs(ctx, s.homes, hashes, each)
	}
	s.users = 1
	r.snapshots[commit] = s
	return s, nil
}

// snapshot reads a commit. The caller holds the lock.
func (r *remote) snapshot(ctx context.Context, commit string) (*snapshot, error) {
	of, err := r.content(ctx, commit)
	if err != nil {
		return nil, err
	}
	temporary, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return nil, err
	}
	fetch := func(ctx context.Context, hashes []string, each func(string, []byte, int64) error) error {
		return r.blobs(ctx, of.homes, hashes, each)
	}
	// Detection names a project after its directory.
	name := strings.TrimSuffix(filepath.Base(sameRepository(r.url)), ".git")
	s, err := newSnapshot(ctx, commit, filepath.Join(temporary, name), of, fetch)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	return s, nil
}

// give gives a snapshot back. Its files go with the last user.
func (r *remote) give(s *snapshot) {
	r.snapshotsMu.Lock()
	defer r.snapshotsMu.Unlock()
	if s.users--; s.users == 0 {
		delete(r.snapshots, s.commit)
		os.RemoveAll(filepath.Dir(s.root))
	}
}
