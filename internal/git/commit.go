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

// Name returns the short name: "origin/main".
func (u Upstream) Name() string { return u.Remote + "/" + strings.TrimPrefix(u.Ref, "refs/heads/") }

var (
	// ErrNoUpstream says that a branch has no upstream.
	ErrNoUpstream = errors.New("no upstream branch")
	// ErrMoved says that the remote branch has commits that are not here: fetch, then push again.
	ErrMoved = errors.New("has moved")
	// ErrRefused says that the remote rejected a push.
	ErrRefused = errors.New("push refused")
)

// Upstream returns the upstream of the branch that is checked out.
func (r Repository) Upstream(ctx context.Context) (u Upstream, err error) {
	branch, err := r.run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	var failed *Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return u, fmt.Errorf("%w: no branch is checked out", ErrNoUpstream)
	}
	if err != nil {
		return u, err
	}
	u.Branch = strings.TrimSpace(branch)
	out, err := r.run(ctx, "for-each-ref", "--format=%(upstream:remotename) %(upstream:remoteref)",
		"refs/heads/"+u.Branch)
	if _, scanErr := fmt.Sscan(out, &u.Remote, &u.Ref); err == nil && scanErr != nil {
		err = fmt.Errorf("%w of %s", ErrNoUpstream, u.Branch)
	}
	return u, err
}

// Fetch fetches the upstream branch, and returns its commit. It fails with ErrNoBranch where there is none.
func (r Repository) Fetch(ctx context.Context, u Upstream) (string, error) {
	if _, err := r.runRemote(ctx, "fetch", "--quiet", "--no-tags", u.Remote, u.Ref); err != nil {
		if strings.Contains(err.Error(), "couldn't find remote ref") {
			err = fmt.Errorf("%w as %s", ErrNoBranch, u.Name())
		}
		return "", err
	}
	out, err := r.run(ctx, "rev-parse", "--verify", "FETCH_HEAD^{commit}")
	return strings.TrimSpace(out), err
}

// Unclean returns those of the files below dir that differ from the commit.
func (r Repository) Unclean(ctx context.Context, dir string, files []string) ([]string, error) {
	out, err := run(ctx, dir, append([]string{"status", "--porcelain=v2", "-z", "--untracked-files=all",
		"--no-renames", "--"}, literal(files)...)...)
	if err != nil {
		return nil, err
	}
	return changed(out, &State{}), nil
}

// literal returns pathspecs that git does not expand.
func literal(files []string) []string {
	var out []string
	for _, f := range files {
		out = append(out, ":(literal)"+f)
	}
	return out
}

// AddWorktree checks a commit out into a temporary worktree, which the returned function removes. Commits
// that are made there run the repository's hooks.
func (r Repository) AddWorktree(ctx context.Context, commit string) (
	dir string, remove func() error, err error,
) {
	temporary, err := os.MkdirTemp("", "slipway-worktree-")
	if err != nil {
		return "", nil, err
	}
	// A project without a name is named after its directory.
	dir = filepath.Join(temporary, filepath.Base(r.Dir))
	if _, err := r.runRemote(ctx, "worktree", "add", "--quiet", "--detach", dir, commit); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(temporary))
	}
	return dir, func() error {
		// Also after an interrupt.
		_, err := r.run(context.WithoutCancel(ctx), "worktree", "remove", "--force", dir)
		return errors.Join(err, os.RemoveAll(temporary))
	}, nil
}

// Person is the author of a commit. The zero value is whom Git is configured for.
type Person struct{ Name, Email string }

func (p Person) environment() []string {
	if p.Name == "" {
		return nil
	}
	return []string{
		"GIT_AUTHOR_NAME=" + p.Name, "GIT_AUTHOR_EMAIL=" + p.Email,
		"GIT_COMMITTER_NAME=" + p.Name, "GIT_COMMITTER_EMAIL=" + p.Email,
	}
}

// Commit commits some files below dir, and no others.
func (r Repository) Commit(
	ctx context.Context, dir, message string, files []string, by Person,
) (string, error) {
	args := append([]string{"commit", "--quiet", "--only", "--message", message, "--"}, literal(files)...)
	here := command{dir: dir, env: by.environment(), access: r.access}
	if _, err := here.run(ctx, args...); err != nil {
		return "", err
	}
	out, err := here.run(ctx, "rev-parse", "--verify", "HEAD^{commit}")
	return strings.TrimSpace(out), err
}

// Push pushes a commit to the upstream branch, never by force.
func (r Repository) Push(ctx context.Context, u Upstream, commit string) error {
	_, err := r.runRemote(ctx, "push", "--quiet", u.Remote, commit+":"+u.Ref)
	var failed *Error
	if !errors.As(err, &failed) {
		return err
	}
	var says []string
	for line := range strings.Lines(failed.Stderr) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "! [rejected]"), strings.Contains(line, "(failed to update ref)"),
			strings.Contains(line, "cannot lock ref"), strings.Contains(line, "(incorrect old value provided)"):
			return fmt.Errorf("%s %w", u.Name(), ErrMoved)
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
	return fmt.Errorf("%w by %s: %s", ErrRefused, u.Name(), strings.Join(says, "\n"))
}

// Forward fast-forwards the branch and the working tree to a commit. It keeps uncommitted changes, and fails
// where they are in the way.
func (r Repository) Forward(ctx context.Context, commit string) error {
	// An interrupt halfway would leave neither state.
	_, err := r.run(context.WithoutCancel(ctx), "merge", "--quiet", "--ff-only", commit)
	return err
}
