// Package source reads a project together with what Git says about it. Every verb, the agent and the UI
// start from the project.Source that it returns. It writes nothing.
package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/git"
	"slipway/internal/project"
)

// Open reads the project of a working tree, and the state of its repository. Outside a repository the
// source is dirty and has no commit. Source.Notes holds what the caller should tell the user.
func Open(ctx context.Context, dir string) (project.Source, error) {
	p, err := project.Open(dir)
	if err != nil {
		return project.Source{}, err
	}
	repository, err := git.Open(ctx, p.Dir)
	if errors.Is(err, git.ErrNone) {
		note := fmt.Sprintf("%s is not in a Git repository: a deploy has no commit, and no image can be built",
			p.Dir)
		return project.Source{Project: p, Dirty: true, Notes: append(slices.Clone(p.Notes), note)}, nil
	} else if err != nil {
		return project.Source{}, err
	}
	state, err := repository.State(ctx)
	if err != nil {
		return project.Source{}, err
	}
	recent, err := recentTags(ctx, repository, p, state)
	if err != nil {
		return project.Source{}, err
	}
	return project.Source{
		Project: p, Commit: state.Commit, Tag: imageTag(state), Dirty: state.Dirty, Changed: state.Changed,
		Recent:   recent,
		Versions: versions(state), Remote: state.Remote, Time: state.Time.Unix(), Notes: slices.Clone(p.Notes),
	}, nil
}

// recentTags returns the tags of the last commits for images with an inline cache; other projects do not
// pay for the question.
func recentTags(ctx context.Context, r git.Repository, p project.Project, s git.State) ([]string, error) {
	const commits = 5
	inline := func(i project.Image) bool { return i.Cache.Inline }
	if s.Commit == "" || !slices.ContainsFunc(p.Images, inline) {
		return nil, nil
	}
	hashes, err := r.Recent(ctx, s.Commit, commits)
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, h := range hashes {
		tags = append(tags, CommitTag(h))
	}
	return tags, nil
}

// CommitTag is the image tag of a commit: "sha-" and the first seven digits of its hash.
func CommitTag(commit string) string { return "sha-" + commit[:7] }

// imageTag is the tag of images that are built from a state. A dirty tree's content is part of it.
func imageTag(s git.State) string {
	switch {
	case s.Commit == "":
		return ""
	case s.Dirty:
		return CommitTag(s.Commit) + "-" + s.Fingerprint
	}
	return CommitTag(s.Commit)
}

// versions are the semantic versions that a clean commit is tagged as, without the v. Versions with build
// metadata are left out: an image tag cannot hold a "+".
func versions(s git.State) []string {
	if s.Dirty {
		return nil
	}
	var versions []string
	for _, t := range s.Tags {
		v, err := semver.StrictNewVersion(strings.TrimPrefix(t, "v"))
		if err == nil && v.Metadata() == "" {
			versions = append(versions, v.String())
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}
