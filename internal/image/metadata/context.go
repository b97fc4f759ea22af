package metadata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/ci"
	"slipway/internal/git"
)

// Context is what is built, and when.
type Context struct {
	ci.Run
	Now time.Time
	// Short is the length of a short commit as DOCKER_METADATA_SHORT_SHA_LENGTH has it; empty: 7.
	Short string
	// Tags are the repository's Git tags; none: unknown.
	Tags []string
	// Levels are the levels of annotations.
	Levels []string
}

// NoCommitError says that neither a CI platform nor Git names the commit that is built.
type NoCommitError struct{ Reason string }

func (e *NoCommitError) Error() string { return "no commit to derive tags from: " + e.Reason }

// Options say where to read what is built.
type Options struct {
	Dir string
	Env ci.Env
	Now time.Time
	// Git reads the commit from the working tree also in CI, where its state is not what the event says.
	Git bool
}

// Read asks the CI platform what is built, and elsewhere Git. dirty is set where the working tree has
// changes, which no tag describes. Read fails with a *NoCommitError without a commit.
func Read(ctx context.Context, o Options) (c Context, dirty bool, err error) {
	var event []byte
	if path := o.Env("GITHUB_EVENT_PATH"); path != "" {
		if event, err = os.ReadFile(path); err != nil {
			return c, false, fmt.Errorf("read the event that GITHUB_EVENT_PATH names: %w", err)
		}
	}
	c, inCI, err := FromEnvironment(o.Env, event)
	if err != nil {
		return c, false, err
	}
	c.Now = o.Now
	repository, err := git.Open(ctx, o.Dir)
	switch {
	case err == nil && (o.Git || !inCI):
		dirty, err = c.checkout(ctx, repository, inCI)
	case err == nil && c.CommitDate.IsZero() && c.SHA != "":
		commit, _ := repository.Find(ctx, c.SHA)
		c.CommitDate = commit.Time
	case inCI && !o.Git && (errors.Is(err, git.ErrNone) || errors.Is(err, git.ErrNoProgram)):
		err = nil // the platform's variables are enough
	case errors.Is(err, git.ErrNone) && inCI:
		err = &NoCommitError{fmt.Sprintf("the context is git, but %s is not in a Git repository", o.Dir)}
	case errors.Is(err, git.ErrNone):
		err = &NoCommitError{fmt.Sprintf("no CI variables are set, and %s is not in a Git repository", o.Dir)}
	}
	if err == nil && repository.Dir != "" {
		c.Tags, err = repository.Tags(ctx)
	}
	return c, dirty, err
}

// checkout takes the commit from Git, and outside CI the repository too.
func (c *Context) checkout(ctx context.Context, r git.Repository, inCI bool) (dirty bool, err error) {
	s, err := r.State(ctx)
	if err != nil {
		return false, err
	}
	if s.Commit == "" {
		return false, &NoCommitError{r.Dir + " has no commit yet"}
	}
	tag, trunk, err := r.Names(ctx)
	if err != nil {
		return false, err
	}
	c.SHA, c.CommitDate, c.Ref = s.Commit, s.Time, ""
	switch {
	case s.Branch != "":
		c.Ref = "refs/heads/" + s.Branch
	case tag != "":
		c.Ref = "refs/tags/" + tag
	}
	if !inCI {
		url := ci.WebURL(s.Remote)
		c.Repository = ci.Repository{Name: filepath.Base(cmp.Or(url, r.Dir)), URL: url, DefaultBranch: trunk}
		c.Payload.Repository = c.Repository
	}
	return s.Dirty, nil
}

// FromEnvironment reads the CI platform's variables, and the settings of docker/metadata-action in
// DOCKER_METADATA_*. inCI is false where no platform is detected: then only the settings are read.
func FromEnvironment(env ci.Env, event []byte) (c Context, inCI bool, err error) {
	c.Short = env("DOCKER_METADATA_SHORT_SHA_LENGTH")
	c.Levels = []string{"manifest"}
	if levels := env("DOCKER_METADATA_ANNOTATIONS_LEVELS"); levels != "" {
		c.Levels = strings.Split(levels, ",")
	}
	c.Run, inCI, err = ci.Read(env, event)
	head, want := c.Payload.PullRequest.Head.SHA, env("DOCKER_METADATA_PR_HEAD_SHA")
	isPull := strings.Contains(c.Event, "pull_request")
	if isPull && head != "" && strings.Contains(strings.ToLower(want), "true") {
		c.SHA = head
	}
	for _, commit := range append(c.Payload.Commits, c.Payload.HeadCommit) {
		if commit.ID == c.SHA && c.CommitDate.IsZero() {
			c.CommitDate = commit.Timestamp
		}
	}
	return c, inCI, err
}
