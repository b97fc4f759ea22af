package promote

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/release"
	"slipway/internal/render/tree"
)

// Undone is the release that a person has rolled back, and why.
type Undone struct {
	Release release.Release
	// Good is the commit whose objects run again.
	Good   string
	Reason string
}

// RevertError says that a commit was not reverted although its release was rolled back.
type RevertError struct {
	Commit, Upstream string
	Err              error
}

func (e *RevertError) Error() string {
	return fmt.Sprintf("the release was rolled back, but commit %s was not reverted on %s: %v",
		git.Short(e.Commit), e.Upstream, e.Err)
}
func (e *RevertError) Unwrap() error { return e.Err }

// Upstream names the branch that Revert pushes to; empty: none.
func Upstream(ctx context.Context, src project.Source) string {
	r, err := git.Open(ctx, src.Project.Dir)
	if err != nil {
		return ""
	}
	up, err := r.Upstream(ctx)
	if err != nil {
		return ""
	}
	return up.Name()
}

// Revert takes back, in the files that the environment is rendered from, what changed between the good commit
// and that of the release, in a commit on top of the upstream branch, and pushes it. The working tree stays
// as it is. It returns the commit, and fails with a *RevertError: where others have changed the same lines
// since, too.
func Revert(ctx context.Context, t deploy.Target, u Undone) (string, error) {
	r, err := git.Open(ctx, t.Source.Project.Dir)
	if err != nil {
		return "", err
	}
	up, err := r.Upstream(ctx)
	if err != nil {
		return "", err
	}
	commit, err := revert(ctx, t, r, up, u)
	if err != nil {
		return "", &RevertError{u.Release.Commit, up.Name(), err}
	}
	return commit, nil
}

func revert(
	ctx context.Context, t deploy.Target, r git.Repository, up git.Upstream, u Undone,
) (string, error) {
	head, err := r.Fetch(ctx, up)
	if err != nil {
		return "", err
	}
	bad := u.Release.Commit
	switch _, lost, err := r.Between(ctx, bad, head); {
	case bad == "" || u.Release.Dirty || u.Good == "":
		return "", errors.New("the releases are not of a commit alone")
	case err != nil:
		return "", err
	case lost > 0:
		return "", errors.New("the branch does not contain it")
	}
	files, err := r.Differing(ctx, u.Good, head)
	if err != nil {
		return "", err
	}
	var reads []string
	for _, c := range []string{u.Good, head} {
		read, err := filesAt(ctx, t, c)
		if err != nil {
			return "", fmt.Errorf("commit %s: %w", git.Short(c), err)
		}
		reads = append(reads, read...)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return !slices.Contains(reads, name) })
	if len(files) == 0 {
		return "", errors.New("no file that the environment is rendered from has changed")
	}
	what := git.Reversion{Head: head, Bad: bad, Good: u.Good, Files: files}
	commit, conflicts, err := r.Revert(ctx, what, func([]git.Conflict) string { return u.message(t, files) },
		git.Person{})
	switch {
	case err != nil:
		return "", err
	case len(conflicts) > 0:
		return "", fmt.Errorf("others have changed the same lines of %s since: run `git revert %s`",
			conflicts[0].File, git.Short(bad))
	case commit == "":
		return "", errors.New("the branch reverted it already")
	}
	return commit, r.Push(ctx, up, commit)
}

// filesAt are the files that the environment is rendered from in a commit, from the root of the repository.
func filesAt(ctx context.Context, t deploy.Target, commit string) ([]string, error) {
	src, remove, err := source.At(ctx, t.Source.Project.Dir, commit)
	if err != nil {
		return nil, err
	}
	defer remove()
	env, err := src.Project.Environment(t.Environment.Name)
	if err != nil {
		return nil, err
	}
	a := deploy.Work(ctx, deploy.Job{Source: src, Environment: env, Render: t.Render}, nil)
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	names := []string{path.Join(src.Path, project.File)}
	for _, seen := range a.Touched {
		if seen.Kind == tree.File {
			names = append(names, path.Join(src.Path, seen.Path))
		}
	}
	return names, nil
}

func (u Undone) message(t deploy.Target, files []string) string {
	return fmt.Sprintf("Revert %s to commit %s: release %d undone\n\n%s\n\nCommit %s was release %d. "+
		"Changes since then are reverted in:\n- %s\n\nSlipway-Quarantine: %s\n",
		t.Environment.Name, git.Short(u.Good), u.Release.Revision, u.Reason,
		u.Release.Commit, u.Release.Revision, strings.Join(files, "\n- "), u.Release.Digest)
}
