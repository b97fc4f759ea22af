package git

import (
	"context"
	"errors"
	"strings"
)

// Names returns the newest tag of HEAD and the default branch of the remote; empty when there is none.
func (r Repository) Names(ctx context.Context) (tag, trunk string, err error) {
	tags, err := r.ask(ctx, "tag", "--points-at", "HEAD", "--sort=-creatordate")
	if err != nil {
		return "", "", err
	}
	trunk, err = r.ask(ctx, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
	return strings.Split(tags, "\n")[0], strings.TrimPrefix(trunk, "origin/"), err
}

// Tags returns all tags.
func (r Repository) Tags(ctx context.Context) ([]string, error) {
	out, err := r.ask(ctx, "tag", "--list")
	return strings.Fields(out), err
}

// Main returns the branch that others are merged into: the default of origin, else main or master, else the
// one that is checked out.
func (r Repository) Main(ctx context.Context) (string, error) {
	if _, trunk, err := r.Names(ctx); err != nil || trunk != "" {
		return trunk, err
	}
	for _, name := range []string{"main", "master"} {
		if r.Exists(ctx, "refs/heads/"+name) {
			return name, nil
		}
	}
	out, err := r.run(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	return strings.TrimSpace(out), err
}

// ask runs a command whose failure means that Git has no answer.
func (r Repository) ask(ctx context.Context, args ...string) (string, error) {
	out, err := r.run(ctx, args...)
	if failed := (*Error)(nil); errors.As(err, &failed) {
		return "", nil
	}
	return strings.TrimSpace(out), err
}
