package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Upstream is the branch of a remote that the checked-out branch is pushed to.
type Upstream struct{ Branch, Remote, Ref string }

// Name is how people call it: "origin/main".
func (u Upstream) Name() string { return u.Remote + "/" + strings.TrimPrefix(u.Ref, "refs/heads/") }

// ErrNoUpstream says that nothing names where a branch is pushed to.
var ErrNoUpstream = errors.New("no upstream branch")

// BehindError says that a push was refused because the branch has moved: fetched, it can be tried again.
type BehindError struct{ Upstream Upstream }

func (e *BehindError) Error() string { return e.Upstream.Name() + " has moved" }

// RefusedError is a push that the other side does not take.
type RefusedError struct {
	Upstream Upstream
	Says     string
}

func (e *RefusedError) Error() string { return "push to " + e.Upstream.Name() + ": " + e.Says }

// Upstream is that of the branch that is checked out.
func (r Repository) Upstream(ctx context.Context) (u Upstream, err error) {
	branch, err := run(ctx, r.Dir, "symbolic-ref", "--quiet", "--short", "HEAD")
	var failed *Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return u, fmt.Errorf("%w: no branch is checked out", ErrNoUpstream)
	}
	if err != nil {
		return u, err
	}
	u.Branch = strings.TrimSpace(branch)
	for key, value := range map[string]*string{"remote": &u.Remote, "merge": &u.Ref} {
		out, err := run(ctx, r.Dir, "config", "--get", "branch."+u.Branch+"."+key)
		if errors.As(err, &failed) && failed.Code == 1 {
			return u, fmt.Errorf("%w of %s", ErrNoUpstream, u.Branch)
		}
		if err != nil {
			return u, err
		}
		*value = strings.TrimSpace(out)
	}
	return u, nil
}

// Head is the commit that is checked out.
func (r Repository) Head(ctx context.Context) (string, error) {
	out, err := run(ctx, r.Dir, "rev-parse", "--verify", "HEAD^{commit}")
	return strings.TrimSpace(out), err
}

// Fetch gets the upstream branch, and gives its commit.
func (r Repository) Fetch(ctx context.Context, u Upstream) (string, error) {
	if _, err := run(ctx, r.Dir, "fetch", "--quiet", "--no-tags", u.Remote, u.Ref); err != nil {
		return "", err
	}
	out, err := run(ctx, r.Dir, "rev-parse", "--verify", "FETCH_HEAD^{commit}")
	return strings.TrimSpace(out), err
}

// Unclean are those of some files, relative to the root, that are not as committed.
func (r Repository) Unclean(ctx context.Context, files []string) ([]string, error) {
	var s State
	out, err := run(ctx, r.Dir, append([]string{"status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--"}, literal(files)...)...)
	if err != nil {
		return nil, err
	}
	return changed(out, &s), nil
}

// literal are paths that git takes as they are.
func literal(files []string) []string {
	var out []string
	for _, f := range files {
		out = append(out, ":(literal)"+f)
	}
	return out
}

// Apart checks a commit out into a folder beside, which the returned function removes.
func (r Repository) Apart(ctx context.Context, commit string) (Repository, func() error, error) {
	dir, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return r, nil, err
	}
	apart := Repository{Dir: filepath.Join(dir, "tree")}
	remove := func() error {
		// What was interrupted is cleared away all the same.
		_, err := run(context.WithoutCancel(ctx), r.Dir, "worktree", "remove", "--force", apart.Dir)
		return errors.Join(err, os.RemoveAll(dir))
	}
	if _, err := run(ctx, r.Dir, "worktree", "add", "--quiet", "--detach", apart.Dir, commit); err != nil {
		return r, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return apart, remove, nil
}

// Commit commits some files, relative to the root, and nothing else.
func (r Repository) Commit(ctx context.Context, message string, files []string) (string, error) {
	args := append([]string{"commit", "--quiet", "--only", "--message", message, "--"}, literal(files)...)
	if _, err := run(ctx, r.Dir, args...); err != nil {
		return "", err
	}
	return r.Head(ctx)
}

// Push sends a commit to the upstream branch, never by force.
func (r Repository) Push(ctx context.Context, u Upstream, commit string) error {
	_, err := run(ctx, r.Dir, "push", "--quiet", u.Remote, commit+":"+u.Ref)
	var failed *Error
	if !errors.As(err, &failed) {
		return err
	}
	var says []string
	for line := range strings.Lines(failed.Stderr) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "! [rejected]"), strings.Contains(line, "(failed to update ref)"), strings.Contains(line, "cannot lock ref"):
			return &BehindError{u}
		case strings.HasPrefix(line, "remote:"):
			says = append(says, strings.TrimSpace(strings.TrimPrefix(line, "remote:")))
		case strings.HasPrefix(line, "! [remote rejected]"):
			_, why, _ := strings.Cut(line, " (")
			says = append(says, strings.TrimSuffix(why, ")"))
		}
	}
	if len(says) == 0 {
		return err
	}
	return &RefusedError{u, strings.Join(says, "\n")}
}

// Forward moves the branch that is checked out on to a commit, with the working tree. Changes in it stay,
// and what they are in the way of does not happen.
func (r Repository) Forward(ctx context.Context, commit string) error {
	// Halfway it would leave neither the one state nor the other.
	_, err := run(context.WithoutCancel(ctx), r.Dir, "merge", "--quiet", "--ff-only", commit)
	return err
}
