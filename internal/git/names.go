package git

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names gives the newest tag of HEAD and the branch that the remote has as its default; empty where there is none.
func (r Repository) Names(ctx context.Context) (tag, trunk string, err error) {
	tags, err := r.ask(ctx, "tag", "--points-at", "HEAD", "--sort=-creatordate")
	if err != nil {
		return "", "", err
	}
	trunk, err = r.ask(ctx, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
	return strings.Split(tags, "\n")[0], strings.TrimPrefix(trunk, "origin/"), err
}

// Time is when a commit was made; zero where it is not in this clone.
func (r Repository) Time(ctx context.Context, commit string) (time.Time, error) {
	out, err := r.ask(ctx, "log", "-1", "--no-show-signature", "--format=%ct", "--end-of-options", commit, "--")
	if err != nil || out == "" {
		return time.Time{}, err
	}
	seconds, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("git log: time of %s: %w", commit, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// ask runs a command for which to fail is an answer: there is none.
func (r Repository) ask(ctx context.Context, args ...string) (string, error) {
	out, err := run(ctx, r.Dir, args...)
	if failed := (*Error)(nil); errors.As(err, &failed) {
		return "", nil
	}
	return strings.TrimSpace(out), err
}
