package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Exists says whether a revision names a commit of this repository.
func (r Repository) Exists(ctx context.Context, revision string) bool {
	_, err := r.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	return err == nil
}

// IsShallow says whether the repository is a shallow clone.
func (r Repository) IsShallow(ctx context.Context) bool {
	out, err := r.run(ctx, "rev-parse", "--is-shallow-repository")
	return err == nil && strings.TrimSpace(out) == "true"
}

// Parent returns the first parent of a commit; empty for the first commit of a history.
func (r Repository) Parent(ctx context.Context, commit string) (string, error) {
	out, err := r.run(ctx, "rev-list", "--max-count=1", "--first-parent", "--skip=1", "--end-of-options",
		commit, "--")
	return strings.TrimSpace(out), err
}

// Ancestors returns the commits that one contains, itself excepted, the newest first and at most n of them.
func (r Repository) Ancestors(ctx context.Context, commit string, n int) ([]string, error) {
	out, err := r.run(ctx, "rev-list", "--topo-order", "--max-count="+strconv.Itoa(n+1),
		"--end-of-options", commit, "--")
	if err != nil {
		return nil, err
	}
	return strings.Fields(out)[1:], nil
}

// Between counts the commits of to that from does not have, and the other way round.
func (r Repository) Between(ctx context.Context, from, to string) (more, less int, err error) {
	out, err := r.run(ctx, "rev-list", "--left-right", "--count", "--end-of-options", to+"..."+from, "--")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(out, &more, &less); err != nil {
		return 0, 0, fmt.Errorf("git rev-list --count: %q: %w", out, err)
	}
	return more, less, nil
}

// Changed lists the tracked files below dir that differ from a revision, relative to dir.
func (r Repository) Changed(ctx context.Context, revision, dir string) ([]string, error) {
	out, err := run(ctx, dir, "diff", "--no-ext-diff", "--name-only", "-z", "--relative", "--end-of-options",
		revision, "--", ".")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Split(out, "\x00"), func(s string) bool { return s == "" }), nil
}

// Text returns a file below dir at a revision.
func (r Repository) Text(ctx context.Context, revision, dir, name string) ([]byte, error) {
	out, err := run(ctx, dir, "show", "--no-ext-diff", "--no-textconv", "--end-of-options", revision+":./"+name)
	return []byte(out), err
}

// Ignored reports whether Git ignores a file below dir, which need not exist.
func (r Repository) Ignored(ctx context.Context, dir, name string) (bool, error) {
	_, err := run(ctx, dir, "check-ignore", "--quiet", "--", name)
	var failed *Error
	if errors.As(err, &failed) && failed.Code == 1 {
		return false, nil
	}
	return err == nil, err
}
