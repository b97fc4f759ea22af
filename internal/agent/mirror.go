package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"sync/atomic"

	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/project/source"
)

// mirror is a remote as one entry of the configuration sees it: a branch, and a directory in it.
type mirror struct {
	Repository
	remote   *remote
	upstream git.Upstream
	rewrite  atomic.Pointer[rewrite] // the last one; nil: the agent has seen none
}

// rewrite is a branch that was moved to a commit which does not contain the one before.
type rewrite struct{ from, to string }

func (w rewrite) String() string {
	return fmt.Sprintf("the branch was rewritten: commit %s does not contain %s, which was there before",
		short(w.to), short(w.from))
}

func newMirror(r Repository, of *remote) *mirror {
	return &mirror{
		Repository: r, remote: of,
		upstream: git.Upstream{Branch: r.Branch, Remote: "origin", Ref: "refs/heads/" + r.Branch},
	}
}

// String names a repository without its credentials.
func (m *mirror) String() string {
	if m.isBundle() {
		return m.URL
	}
	return fmt.Sprintf("%s (%s)", git.WithoutCredentials(m.URL), m.Branch)
}

// besides is another branch of the repository, to push to.
func (m *mirror) besides(branch string) git.Upstream {
	return git.Upstream{Branch: branch, Remote: m.upstream.Remote, Ref: "refs/heads/" + branch}
}

// deepen fetches the history that the clone lacks. It reports whether there was any.
func (m *mirror) deepen(ctx context.Context) (deepened bool, err error) {
	if m.remote.registry != nil {
		return false, nil
	}
	err = m.remote.use(ctx, func(clone *git.Mirror) (err error) {
		deepened, err = clone.Deepen(ctx)
		return err
	})
	return deepened, err
}

// fetchTrees fetches the directories of a commit of the history, which deepen leaves out.
func (m *mirror) fetchTrees(ctx context.Context, commit string) error {
	return m.remote.use(ctx, func(clone *git.Mirror) error { return clone.FetchTrees(ctx, commit) })
}

// repository is the clone, for its history and for pushes.
func (m *mirror) repository() git.Repository {
	m.remote.mu.Lock()
	defer m.remote.mu.Unlock()
	if m.remote.clone.mirror == nil {
		return git.Repository{Dir: m.remote.clone.dir}
	}
	return m.remote.clone.mirror.Repository
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
	return s.projects.open(ctx, dir, func() (project.Source, error) {
		p, err := open(ctx, m.remote.children, s.root, filepath.FromSlash(dir))
		if err == nil {
			return source.Of(ctx, m.repository(), p, s.commit, s.root)
		}
		if text := s.explain(err.Error()); text != err.Error() {
			err = errors.New(text)
		}
		return project.Source{}, err
	})
}
