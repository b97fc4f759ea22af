package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/project/source"
)

// author makes the reverts.
var author = git.Person{Name: "Slipway agent", Email: "agent@slipway.dev"}

// mirror is a clone of a repository's branch.
type mirror struct {
	Repository
	dir        string
	repository git.Repository
	upstream   git.Upstream
}

func newMirror(r Repository, dir string) *mirror {
	return &mirror{
		Repository: r, dir: dir,
		upstream: git.Upstream{Branch: r.Branch, Remote: "origin", Ref: "refs/heads/" + r.Branch},
	}
}

// poll returns the commit of the branch. It fetches only where that is not known already.
func (m *mirror) poll(ctx context.Context, known string) (string, error) {
	tip, err := git.Tip(ctx, m.URL, m.Branch)
	if err != nil || tip == known {
		return tip, err
	}
	if _, err := os.Stat(filepath.Join(m.dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		m.repository, err = git.Clone(ctx, m.URL, m.Branch, m.dir)
		return tip, errors.Join(err, m.removeUnless(err == nil))
	}
	m.repository = git.Repository{Dir: m.dir}
	return m.repository.Fetch(ctx, m.upstream)
}

// removeUnless leaves no half clone behind.
func (m *mirror) removeUnless(complete bool) error {
	if complete {
		return nil
	}
	return os.RemoveAll(m.dir)
}

// at reads the project as a commit has it. The caller calls remove.
func (m *mirror) at(ctx context.Context, commit string) (src project.Source, remove func(), err error) {
	return source.In(ctx, m.repository, m.Path, commit)
}

// backoff is how long to wait after so many failures in a row.
func backoff(interval Duration, failures int) time.Duration {
	const most = 5 * time.Minute
	d := time.Duration(interval)
	for range failures {
		if d *= 2; d >= most {
			return most
		}
	}
	return d
}

// String names a repository without its credentials.
func (m *mirror) String() string {
	return fmt.Sprintf("%s (%s)", git.WithoutCredentials(m.URL), m.Branch)
}
