package git

import (
	"context"
	"fmt"
	"strings"
)

// Differing are the files that differ between two commits, relative to the repository's root.
func (r Repository) Differing(ctx context.Context, from, to string) ([]string, error) {
	out, err := r.runRemote(ctx, "diff", "--name-only", "-z", "--no-renames", "--ignore-submodules=none",
		"--end-of-options", from, to, "--")
	return strings.FieldsFunc(out, func(c rune) bool { return c == 0 }), err
}

// Touching are the commits after from, up to to, that change some files: the newest first, at most n, along
// the first parents.
func (r Repository) Touching(ctx context.Context, from, to string, files []string, n int) ([]string, error) {
	out, err := r.runRemote(ctx, append([]string{"rev-list", "--first-parent", fmt.Sprintf("--max-count=%d", n),
		"--end-of-options", to, "^" + from, "--"}, literal(files)...)...)
	return strings.Fields(out), err
}

// Unmarked counts the commits of to that from does not have, merges left out, whose message lacks a text.
func (r Repository) Unmarked(ctx context.Context, from, to, text string) (n int, err error) {
	out, err := r.run(ctx, "rev-list", "--count", "--no-merges", "--fixed-strings", "--invert-grep",
		"--grep="+text, "--end-of-options", to, "^"+from)
	if err == nil {
		_, err = fmt.Sscan(out, &n)
	}
	return n, err
}

// SameFiles reports whether two commits have the same files.
func (r Repository) SameFiles(ctx context.Context, one, other string) (bool, error) {
	out, err := r.run(ctx, "rev-parse", "--verify", "--end-of-options", one+"^{tree}")
	if err != nil {
		return false, err
	}
	again, err := r.run(ctx, "rev-parse", "--verify", "--end-of-options", other+"^{tree}")
	return out == again, err
}

// URL returns the address of a remote, as the user configured it.
func (r Repository) URL(ctx context.Context, remote string) (string, error) {
	out, err := r.run(ctx, "remote", "get-url", remote)
	return strings.TrimSpace(out), err
}

// Mentions returns the newest commit after from, up to to, whose message has a text; empty: none has. Without
// from it searches all history.
func (r Repository) Mentions(ctx context.Context, from, to, text string) (string, error) {
	args := []string{"log", "-1", "--format=%H", "--fixed-strings", "--grep=" + text, "--end-of-options", to}
	if from != "" {
		args = append(args, "^"+from)
	}
	out, err := r.run(ctx, append(args, "--")...)
	return strings.TrimSpace(out), err
}
