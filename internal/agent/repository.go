package agent

import (
	"context"
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
	followers []*follower
	poke      chan struct{} // asks for a poll now
	children  *child.Pool
	// registry has rendered sets in place of the clone; nil: this is a Git repository.
	registry *registry

	mu    sync.Mutex // of the clone
	clone clone

	notesMu sync.Mutex // of the notes in the clone

	snapshotsMu sync.Mutex
	snapshots   map[string]*snapshot // by commit
}

// newRemote returns the repository of an entry. Its clone is in a directory below state.
func newRemote(r Repository, state string, children *child.Pool) *remote {
	is := &remote{
		poke: make(chan struct{}, 1), children: children, snapshots: map[string]*snapshot{},
		clone: newClone(r, state),
	}
	if r.isBundle() {
		is.registry = newRegistry(r)
	}
	return is
}

// use calls a function with the clone, whose credentials are up to date.
func (r *remote) use(ctx context.Context, do func(*git.Mirror) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.clone.open(ctx); err != nil {
		return err
	}
	return do(r.clone.mirror)
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
	s, err := r.clone.snapshot(ctx, branch, commit)
	if err != nil {
		return nil, err
	}
	// Whatever is missing in the snapshot is fetched later, when others may use the clone.
	s.fetch = func(ctx context.Context, hashes []string, each func(string, []byte, int64) error) error {
		return r.use(ctx, func(*git.Mirror) error { return r.clone.blobs(ctx, s.homes, hashes, each) })
	}
	s.users = 1
	r.snapshots[commit] = s
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
