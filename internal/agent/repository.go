package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/agent/child"
	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/project/source"
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

// mirror is a remote as one entry of the configuration sees it: a branch, and a directory in it.
type mirror struct {
	Repository
	remote   *remote
	upstream git.Upstream
}

func newMirror(r Repository, of *remote) *mirror {
	return &mirror{
		Repository: r, remote: of,
		upstream: git.Upstream{Branch: r.Branch, Remote: "origin", Ref: "refs/heads/" + r.Branch},
	}
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

// tip is what a poll found for a branch.
type tip struct {
	commit string
	digest string // of a rendered set: several may be of one commit
	err    error
}

// poll asks for all branches that are followed, and fetches those that are not at a known commit.
func (r *remote) poll(ctx context.Context, known map[string]string) map[string]tip {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.registry != nil {
		return r.registry.poll(ctx)
	}
	found, branches := map[string]tip{}, r.branches()
	err := r.open(ctx)
	var tips map[string]string
	if err == nil {
		tips, err = r.mirror.Tips(ctx, branches...)
	}
	for _, b := range branches {
		switch commit := tips[b]; {
		case err != nil:
			found[b] = tip{err: err}
		case commit == "":
			found[b] = tip{err: fmt.Errorf("%w as %s at %s", git.ErrNoBranch, b, r.url)}
		case commit == known[b]:
			found[b] = tip{commit: commit}
		default:
			r.children.Warm() // it starts while git fetches
			commit, err := r.fetch(ctx, b)
			found[b] = tip{commit: commit, err: err}
		}
	}
	return found
}

// branches are those that are followed, each once.
func (r *remote) branches() []string {
	var all []string
	for _, f := range r.followers {
		if !slices.Contains(all, f.mirror.Branch) {
			all = append(all, f.mirror.Branch)
		}
	}
	return all
}

// pull is poll after a webhook: the only branch that is followed has most likely moved, and is fetched at
// once.
func (r *remote) pull(ctx context.Context, known map[string]string) map[string]tip {
	branches := r.branches()
	if len(branches) != 1 || known[branches[0]] == "" || r.registry != nil {
		return r.poll(ctx, known)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.children.Warm()
	err, commit := r.open(ctx), ""
	if err == nil {
		commit, err = r.fetch(ctx, branches[0])
	}
	return map[string]tip{branches[0]: {commit: commit, err: err}}
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

// deepen fetches the history that the clone lacks. It reports whether there was any.
func (m *mirror) deepen(ctx context.Context) (bool, error) {
	if m.remote.registry != nil {
		return false, nil
	}
	m.remote.mu.Lock()
	defer m.remote.mu.Unlock()
	if err := m.remote.open(ctx); err != nil {
		return false, err
	}
	return m.remote.mirror.Deepen(ctx)
}

// fetchTrees fetches the directories of a commit of the history, which deepen leaves out.
func (m *mirror) fetchTrees(ctx context.Context, commit string) error {
	m.remote.mu.Lock()
	defer m.remote.mu.Unlock()
	if err := m.remote.open(ctx); err != nil {
		return err
	}
	return m.remote.mirror.FetchTrees(ctx, commit)
}

// repository is the clone, for its history and for pushes.
func (m *mirror) repository() git.Repository {
	m.remote.mu.Lock()
	defer m.remote.mu.Unlock()
	if m.remote.mirror == nil {
		return git.Repository{Dir: m.remote.dir}
	}
	return m.remote.mirror.Repository
}

// at reads the project as a commit has it. The caller gives the snapshot back.
func (m *mirror) at(ctx context.Context, commit string) (project.Source, *snapshot, error) {
	s, err := m.remote.take(ctx, m.Branch, commit)
	if err != nil {
		return project.Source{}, nil, err
	}
	src, err := m.source(ctx, s)
	if err != nil {
		m.remote.give(s)
		return project.Source{}, nil, err
	}
	return src, s, nil
}

// source reads the project that the entry's directory of a commit belongs to, once for all environments.
func (m *mirror) source(ctx context.Context, s *snapshot) (project.Source, error) {
	if s.bundle != nil {
		return s.bundle.source(s.root), nil
	}
	dir := path.Clean(filepath.ToSlash(m.Path))
	if err := s.mayOpen(dir); err != nil {
		return project.Source{}, err
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	o, known := s.opened[dir]
	if !known {
		var p project.Project
		if p, o.err = open(ctx, m.remote.children, s.root, filepath.FromSlash(dir)); o.err == nil {
			o.source, o.err = source.Of(ctx, m.repository(), p, s.commit, s.root)
		} else if text := s.explain(o.err.Error()); text != o.err.Error() {
			o.err = errors.New(text)
		}
		if ctx.Err() == nil {
			s.opened[dir] = o
		}
	}
	return o.source, o.err
}

// follow polls the repository until the context ends.
func (r *remote) follow(ctx context.Context, a *Agent) {
	known, failures, look := map[string]string{}, 0, r.poll
	for {
		tips := look(ctx, known)
		look = r.poll
		if ctx.Err() != nil {
			return
		}
		a.counters.update(func(c *counters) { c.gitQueries[r.url]++ })
		failed, isNoted := false, map[string]bool{}
		for _, f := range r.followers {
			found := tips[f.mirror.Branch]
			for _, e := range f.environments {
				e.noteSource(found.err)
			}
			log := a.options.Log
			if isNoted[f.mirror.Branch] {
				log = slog.New(slog.DiscardHandler)
			}
			isNoted[f.mirror.Branch] = true
			f.note(found.err, log)
			failed = failed || found.err != nil
			if found.err == nil && f.offered != found.commit+found.digest {
				f.offered = found.commit + found.digest
				for _, e := range f.environments {
					e.incoming.offer(found.commit)
				}
			}
		}
		for b, found := range tips {
			if found.err == nil {
				known[b] = found.commit
			}
		}
		if failures++; !failed {
			failures = 0
		}
		rest := max(backoff(r.interval(), failures), askedToWait(tips))
		polled, wait := time.Now(), time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-r.poke:
			look = r.pull
			// However many ask for a poll, there is one a second at most.
			wait.Reset(min(time.Until(polled.Add(time.Second)), time.Duration(r.interval())))
			select {
			case <-ctx.Done():
			case <-wait.C:
			}
		}
		wait.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// interval is the shortest of the entries'.
func (r *remote) interval() Duration {
	shortest := r.followers[0].mirror.Interval
	for _, f := range r.followers {
		shortest = min(shortest, f.mirror.Interval)
	}
	return shortest
}

// note says once what a poll failed with, and that it went well again.
func (f *follower) note(err error, log *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polled = f.polled || err == nil
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == f.lastFail:
	case text != "":
		log.Error("poll "+f.mirror.String()+": "+text, "environments", "keep what they run")
	default:
		log.Info("poll " + f.mirror.String() + ": it can be read again")
	}
	f.lastFail = text
}

// backoff is how long to wait after so many failures in a row, up to a tenth more: agents that fail together
// must not ask again together.
func backoff(interval Duration, failures int) time.Duration {
	const most = 5 * time.Minute
	d := time.Duration(interval)
	for range failures {
		if d *= 2; d >= most {
			d = most
			break
		}
	}
	return d + rand.N(cmp.Or(d/10, 1))
}

// String names a repository without its credentials.
func (m *mirror) String() string {
	if m.isBundle() {
		return m.URL
	}
	return fmt.Sprintf("%s (%s)", git.WithoutCredentials(m.URL), m.Branch)
}
