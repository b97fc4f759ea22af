package git

import (
	"context"
	"strings"
)

// Main is the branch that others are merged into: origin's where a clone knows it, else main or master
// where there is one, else the one that is checked out.
func (r Repository) Main(ctx context.Context) (string, error) {
	if out, err := run(ctx, r.Dir, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"); err == nil {
		return strings.TrimPrefix(strings.TrimSpace(out), "origin/"), nil
	}
	for _, name := range []string{"main", "master"} {
		if r.Exists(ctx, "refs/heads/"+name) {
			return name, nil
		}
	}
	out, err := run(ctx, r.Dir, "symbolic-ref", "--quiet", "--short", "HEAD")
	return strings.TrimSpace(out), err
}
