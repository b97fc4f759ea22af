package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/project/source"
)

var (
	// ErrMeanwhile refuses to overwrite another promotion of the same image.
	ErrMeanwhile = errors.New("another promotion came first")
	// ErrUnclean refuses to commit over changes in the files that a promotion edits.
	ErrUnclean = errors.New("uncommitted changes")
	// ErrUnpushed refuses a push that would also push other commits.
	ErrUnpushed = errors.New("not pushed")
)

// maxPushes is how often a push is tried: more rejections than this are not bad luck.
const maxPushes = 5

// pushing is the step of the events about pushes.
const pushing deploy.Step = "push"

// commit commits the promotion on top of this commit, or of the upstream branch.
func commit(ctx context.Context, t deploy.Target, pins []image.Pin, o Options) (Result, error) {
	head := t.Source.Commit
	if head == "" {
		return Result{}, deploy.ErrNoCommit
	}
	r, err := git.Open(ctx, t.Source.Project.Dir)
	if err != nil {
		return Result{}, err
	}
	switch {
	case o.Forge != nil:
		return request(ctx, r, t, pins, o)
	case o.Push:
		return push(ctx, r, t, pins, o)
	}
	result, err := commitOn(ctx, r, head, t, pins, o)
	if err == nil && result.Commit != head {
		err = r.Forward(ctx, result.Commit)
	}
	return result, err
}

// push commits the promotion on top of the upstream branch and pushes it. Where others push meanwhile it
// starts again on top of their commits, unless one of these promotes the same image.
func push(
	ctx context.Context, r git.Repository, t deploy.Target, pins []image.Pin, o Options,
) (Result, error) {
	up, err := r.Upstream(ctx)
	if err != nil {
		return Result{}, err
	}
	var first []image.Pin
	for try := 1; ; try++ {
		base, err := fetch(ctx, r, up, t.Source.Commit)
		if err != nil {
			return Result{}, err
		}
		result, err := commitOn(ctx, r, base, t, pins, o)
		if err != nil {
			return result, err
		}
		if try == 1 {
			first = result.Before
		}
		if err := refuseMeanwhile(first, result); err != nil {
			return result, err
		}
		if result.Commit != base {
			err = r.Push(ctx, up, result.Commit)
		}
		if errors.Is(err, git.ErrMoved) && try < maxPushes {
			if t.Notify != nil {
				message := err.Error() + ": trying again on top of it"
				t.Notify(deploy.Event{Step: pushing, Message: message, Time: time.Now().UTC()})
			}
			continue
		}
		if err != nil {
			return result, err
		}
		result.Upstream = up.Name()
		if result.Commit != base {
			if err := r.Forward(ctx, result.Commit); err != nil {
				note := fmt.Sprintf("the commit was pushed, but this checkout was not updated: %v", err)
				result.Notes = append(result.Notes, note)
			}
		}
		return result, nil
	}
}

// fetch returns the upstream's commit. It refuses where this branch has commits that the upstream has not:
// a promotion pushes no other commit.
func fetch(ctx context.Context, r git.Repository, up git.Upstream, head string) (string, error) {
	base, err := r.Fetch(ctx, up)
	if err != nil {
		return "", err
	}
	more, _, err := r.Between(ctx, base, head)
	if err == nil && more > 0 {
		plural := "s"
		if more == 1 {
			plural = ""
		}
		err = fmt.Errorf("%s has %d commit%s that are %w to %s", up.Branch, more, plural, ErrUnpushed, up.Name())
	}
	return base, err
}

// refuseMeanwhile returns ErrMeanwhile where an image differs from the one that the first try found.
func refuseMeanwhile(first []image.Pin, result Result) error {
	for _, is := range result.Before {
		i := slices.IndexFunc(first, func(was image.Pin) bool { return was.Name == is.Name })
		if i >= 0 && first[i] != is {
			return fmt.Errorf("promote %s to %s: %s has become %s: %w",
				is.Name, result.Environment, first[i].Reference(), is.Reference(), ErrMeanwhile)
		}
	}
	return nil
}

// commitOn commits the promotion on top of another commit, in a worktree of its own. Where nothing changes
// the result's commit is the base.
func commitOn(
	ctx context.Context, r git.Repository, base string, t deploy.Target, pins []image.Pin, o Options,
) (result Result, err error) {
	here := t.Source.Project.Dir
	result.Environment = t.Environment.Name
	prefix, err := r.Prefix(ctx, here)
	if err != nil {
		return result, err
	}
	tree, remove, err := r.AddWorktree(ctx, base)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	src, err := source.Open(ctx, filepath.Join(tree, filepath.FromSlash(prefix)))
	if err != nil {
		return result, err
	}
	if t, err = inSource(t, src); err != nil {
		return result, err
	}
	result.Commit, result.base = base, base
	result.Promotion, err = Plan(ctx, src.Project, t.Environment, pins, t.Render)
	if err != nil || len(result.Changes) == 0 {
		return result, err
	}
	if err := (past{t, &r}).refuseOlder(ctx, &result, o); err != nil {
		return result, err
	}
	files := slices.Sorted(maps.Keys(result.Files))
	unclean, err := r.Unclean(ctx, here, files)
	if err != nil {
		return result, err
	}
	if len(unclean) > 0 {
		return result, fmt.Errorf("%w in %s", ErrUnclean, strings.Join(unclean, ", "))
	}
	result.message = describe(ctx, r, result, o)
	if err := result.consented(o); err != nil {
		return result, err
	}
	if err := project.ReplaceFiles(ctx, src.Project.Dir, result.Files); err != nil {
		return result, err
	}
	note, err := copyImages(ctx, t)
	if err != nil {
		return result, err
	}
	if note != "" {
		result.Notes = append(result.Notes, note)
	}
	result.Commit, err = r.Commit(ctx, src.Project.Dir, result.message.text(), files, git.Person{})
	return result, err
}

// copyImages does what a deploy of the edited files would do first: it copies images that were tested
// elsewhere to the repositories that the files name. All versions are stated now, so nothing is built.
func copyImages(ctx context.Context, t deploy.Target) (note string, err error) {
	pins, missing, err := Stated(ctx, t.Source.Project, t.Environment, t.Render)
	if err != nil || len(pins)+len(missing) == 0 { // the project deploys what others build
		return "", err
	}
	if len(missing) > 0 {
		names := strings.Join(missing, ", ")
		return fmt.Sprintf("%s still does not name %s by digest", t.Environment.Name, names), nil
	}
	t.Source.Dirty = false // nothing is built from this tree
	_, err = deploy.Prepare(ctx, t, deploy.PrepareOptions{Build: true})
	return "", err
}
