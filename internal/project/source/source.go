// Package source reads a project and the state of its Git repository. Every verb, the agent and the UI start
// from the project.Source that it returns. It writes nothing into the repository.
package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/git"
	"slipway/internal/project"
)

// Open reads the project of a working tree, and the state of its repository. Outside a repository the
// source is dirty and has no commit. Source.Notes holds what the caller should tell the user. Files in except
// do not make the source dirty.
func Open(ctx context.Context, dir string, except ...string) (project.Source, error) {
	p, err := project.Open(dir)
	if err != nil {
		return project.Source{}, err
	}
	repository, err := git.Open(ctx, p.Dir)
	if errors.Is(err, git.ErrNone) {
		note := project.Note{Text: fmt.Sprintf(
			"%s is not in a Git repository: a deploy has no commit, and no image can be built", p.Dir)}
		return project.Source{Project: p, Dirty: true, Notes: append(slices.Clone(p.Notes), note)}, nil
	} else if err != nil {
		return project.Source{}, err
	}
	state, err := repository.State(ctx, except...)
	if err != nil {
		return project.Source{}, err
	}
	return fromState(ctx, repository, p, state, repository.Dir)
}

// At reads the project that dir belongs to as a commit has it, and returns the Source that a clean checkout
// of that commit gives. The working tree and its index stay as they are, and their changes are not seen. The
// files are in a private temporary directory: the caller calls remove when it has read them.
func At(ctx context.Context, dir, revision string) (src project.Source, remove func(), err error) {
	repository, err := git.Open(ctx, dir)
	if err != nil {
		return project.Source{}, nil, err
	}
	prefix, err := repository.Prefix(ctx, dir)
	if err != nil {
		return project.Source{}, nil, err
	}
	return In(ctx, repository, prefix, revision)
}

// In is At for a repository that needs no working tree, and the project's directory in it.
func In(
	ctx context.Context, repository git.Repository, prefix, revision string,
) (src project.Source, remove func(), err error) {
	state, err := repository.StateAt(ctx, revision)
	if err != nil {
		return project.Source{}, nil, err
	}
	temporary, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return project.Source{}, nil, err
	}
	remove = func() { os.RemoveAll(temporary) }
	// Detection names a project after its directory.
	root := filepath.Join(temporary, filepath.Base(repository.Dir))
	err = repository.Export(ctx, state.Commit, root)
	var p project.Project
	if err == nil {
		p, err = project.OpenBelow(root, filepath.FromSlash(prefix))
	}
	if err == nil {
		src, err = fromState(ctx, repository, p, state, root)
	}
	if err != nil {
		remove()
		return project.Source{}, nil, err
	}
	return src, remove, nil
}

// Of is In for a project that was read from the files of a commit, which are below root.
func Of(
	ctx context.Context, repository git.Repository, p project.Project, revision, root string,
) (project.Source, error) {
	state, err := repository.StateAt(ctx, revision)
	if err != nil {
		return project.Source{}, err
	}
	return fromState(ctx, repository, p, state, root)
}

func fromState(
	ctx context.Context, r git.Repository, p project.Project, s git.State, root string,
) (project.Source, error) {
	recent, err := recentTags(ctx, r, p, s)
	if err != nil {
		return project.Source{}, err
	}
	return project.Source{
		Project: p, Repository: r.Dir, Path: below(root, p.Dir), Commit: s.Commit, Tag: imageTag(s),
		Dirty: s.Dirty, Changed: s.Changed, Recent: recent,
		Versions: versions(s), Remote: s.Remote, Identity: s.Identity, Time: s.Time.Unix(),
		Notes: slices.Clone(p.Notes),
	}, nil
}

// below returns the path of a directory below a root; empty for the root itself.
func below(root, dir string) string {
	for _, p := range []*string{&root, &dir} {
		if real, err := filepath.EvalSymlinks(*p); err == nil {
			*p = real
		}
	}
	path, err := filepath.Rel(root, dir)
	if err != nil || path == "." {
		return ""
	}
	return filepath.ToSlash(path)
}

// recentTags returns the tags of the last commits where an image has an inline cache: only then are they
// used.
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

// imageTag returns the tag of images that are built from a state. For a dirty tree it includes a hash of the
// content.
func imageTag(s git.State) string {
	switch {
	case s.Commit == "":
		return ""
	case s.Dirty:
		return CommitTag(s.Commit) + "-" + s.Fingerprint
	}
	return CommitTag(s.Commit)
}

// versions returns the semantic versions among the Git tags of a clean commit, without the v. It skips
// versions with build metadata: an image tag cannot contain a "+".
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
