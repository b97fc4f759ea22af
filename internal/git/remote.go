package git

import (
	"context"
	"strings"
)

// Differing are the files that differ between two commits, relative to the repository's root.
func (r Repository) Differing(ctx context.Context, from, to string) ([]string, error) {
	out, err := r.runRemote(ctx, "diff", "--name-only", "-z", "--no-renames", "--end-of-options", from, to, "--")
	return strings.FieldsFunc(out, func(c rune) bool { return c == 0 }), err
}

// Mentions returns the first commit after from, up to to, whose message has a text; empty: none has.
func (r Repository) Mentions(ctx context.Context, from, to, text string) (string, error) {
	out, err := r.run(ctx, "log", "-1", "--format=%H", "--fixed-strings", "--grep="+text,
		"--end-of-options", to, "^"+from)
	return strings.TrimSpace(out), err
}
