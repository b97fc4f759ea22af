package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrNoBranch says that a remote repository does not have a branch.
var ErrNoBranch = errors.New("no such branch")

// Tip asks a remote repository for the commit of a branch.
func Tip(ctx context.Context, url, branch string) (string, error) {
	out, err := run(ctx, os.TempDir(), append(distrustful(), "ls-remote", "--", url, "refs/heads/"+branch)...)
	if err != nil {
		return "", err
	}
	hash, _, _ := strings.Cut(out, "\t")
	if hash == "" {
		return "", fmt.Errorf("%w as %s at %s", ErrNoBranch, branch, WithoutCredentials(url))
	}
	return hash, nil
}

// distrustful are settings for repositories of others: nothing of theirs is run, and what they send is
// verified.
func distrustful() []string {
	return []string{
		"-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=never", "-c", "protocol.ext.allow=never",
		"-c", "transfer.fsckObjects=true",
	}
}

// Clone makes a clone of one branch without a working tree. Files are fetched when they are read.
func Clone(ctx context.Context, url, branch, dir string) (Repository, error) {
	args := append(distrustful(), "clone", "--quiet", "--no-checkout", "--single-branch", "--no-tags",
		"--filter=blob:none", "--branch", branch)
	for _, setting := range []string{
		"core.hooksPath=/dev/null", "transfer.fsckObjects=true", "commit.gpgSign=false", "gc.auto=0",
	} {
		args = append(args, "--config", setting)
	}
	_, err := run(ctx, os.TempDir(), append(args, "--", url, dir)...)
	return Repository{Dir: dir}, err
}

// Differing are the files that differ between two commits, relative to the repository's root.
func (r Repository) Differing(ctx context.Context, from, to string) ([]string, error) {
	out, err := run(ctx, r.Dir, "diff", "--name-only", "-z", "--no-renames", "--end-of-options", from, to, "--")
	return strings.FieldsFunc(out, func(c rune) bool { return c == 0 }), err
}

// Restore gives files below dir, a worktree, the content that they have in a commit: a file that it does not
// have is removed.
func (r Repository) Restore(ctx context.Context, dir, commit string, files []string) error {
	_, err := run(ctx, dir, append([]string{"restore", "--source=" + commit, "--staged", "--worktree", "--"},
		literal(files)...)...)
	return err
}

// Mentions returns the first commit after from, up to to, whose message has a text; empty: none has.
func (r Repository) Mentions(ctx context.Context, from, to, text string) (string, error) {
	out, err := run(ctx, r.Dir, "log", "-1", "--format=%H", "--fixed-strings", "--grep="+text,
		"--end-of-options", to, "^"+from)
	return strings.TrimSpace(out), err
}
