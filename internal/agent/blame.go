package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// maxTried is how many commits are rendered to find the newest one with the objects of the healthy release.
const maxTried = 10

// blame is what a failure is blamed on: what changed in some files since a commit.
type blame struct {
	good  string // the newest commit with the objects of the healthy release
	files []string
	doubt string // why good may be an older one; empty: it is not
}

// blame finds the commit that a revert goes back to. Commits after that of the healthy release may have
// changed its files without changing an object, such as a comment: a revert must not take that back.
func (w reverter) blame(ctx context.Context, healthy string, what git.Reversion) (blame, error) {
	b := blame{good: healthy}
	before, err := w.renderAt(ctx, healthy)
	if err != nil {
		return b, err
	}
	after, err := w.renderOf(ctx, w.target.Source, w.files)
	if err != nil {
		return b, err
	}
	files, err := w.differing(ctx, healthy, what.Head, before, after)
	if err != nil || len(files) == 0 {
		return b, err
	}
	r := w.mirror.repository()
	commits, err := r.Touching(ctx, healthy, what.Bad, files, maxTried+1)
	if err != nil {
		return b, err
	}
	if len(commits) > maxTried {
		b.doubt = fmt.Sprintf("more than %d commits have changed these files since commit %s, and some of them "+
			"may not be to blame", maxTried, short(healthy))
	}
	for _, c := range commits[min(1, len(commits)):] { // the newest is bad
		// One that cannot be rendered never ran.
		if at, err := w.renderAt(ctx, c); err == nil && at.digest != "" && at.digest == before.digest {
			b.good, b.doubt = c, ""
			b.files, err = w.differing(ctx, c, what.Head, before, after)
			return b, err
		} else if ctx.Err() != nil {
			return b, ctx.Err()
		}
	}
	b.files = files
	return b, nil
}

// differing are the files that differ between two commits and that the environment is rendered from in one of
// them.
func (w reverter) differing(ctx context.Context, good, head string, in ...rendering) ([]string, error) {
	changed, err := w.mirror.repository().Differing(ctx, good, head)
	return slices.DeleteFunc(changed, func(name string) bool {
		return !slices.ContainsFunc(in, func(r rendering) bool { return r.hasRead(name) })
	}), err
}

// rendering is what the environment is rendered from in a commit, and the digest of the objects; empty: there
// are none.
type rendering struct {
	read   map[string]bool // relative to the repository's root
	digest string
}

// hasRead reports whether a file was read, or one of a submodule.
func (r rendering) hasRead(name string) bool {
	if r.read[name] {
		return true
	}
	for file := range r.read {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

func (w reverter) renderAt(ctx context.Context, commit string) (rendering, error) {
	if err := w.mirror.fetchTrees(ctx, commit); err != nil {
		return rendering{}, err
	}
	src, files, err := w.mirror.at(ctx, commit)
	if err != nil {
		return rendering{}, err
	}
	defer w.mirror.remote.give(files)
	return w.renderOf(ctx, src, files)
}

func (w reverter) renderOf(ctx context.Context, src project.Source, files *snapshot) (rendering, error) {
	env, err := src.Project.Environment(w.name)
	if err != nil {
		return rendering{}, err
	}
	job := deploy.Job{Source: src, Environment: env, Render: w.target.Render}
	a, err := w.isolate(files, new([]tree.Read))(ctx, job, nil)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return rendering{}, err
	}
	r := rendering{read: map[string]bool{path.Join(src.Path, project.File): true}}
	for _, seen := range a.Touched {
		if seen.Kind == tree.File {
			r.read[path.Join(src.Path, seen.Path)] = true
		}
	}
	var set object.Set
	for _, o := range a.Objects {
		if err := set.Add(o); err != nil {
			return r, err
		}
	}
	if set.Len() > 0 {
		r.digest = set.Digest()
	}
	return r, nil
}
