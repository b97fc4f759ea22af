package promote

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
)

// ErrOthersCommits refuses to replace what a person has committed to the branch of a pull request.
var ErrOthersCommits = errors.New("has commits that are not promotions")

// Branch is the branch of pull requests that promote to an environment.
func Branch(environment string) string { return "slipway/promote-" + environment }

// request commits the promotion on top of the upstream branch, pushes it to a branch of its own, and opens a
// pull request, or changes the one that is open.
func request(
	ctx context.Context, r git.Repository, t deploy.Target, pins []image.Pin, o Options,
) (Result, error) {
	up, err := r.Upstream(ctx)
	if err != nil {
		return Result{}, err
	}
	repository, err := r.URL(ctx, up.Remote)
	if err != nil {
		return Result{}, err
	}
	at, err := o.Forge(repository)
	if err != nil {
		return Result{}, err
	}
	base, err := fetch(ctx, r, up, t.Source.Commit)
	if err != nil {
		return Result{}, err
	}
	result, err := commitOn(ctx, r, base, t, pins, o)
	if err != nil || result.Commit == base {
		return result, err
	}
	branch := Branch(result.Environment)
	to := git.Upstream{Branch: branch, Remote: up.Remote, Ref: "refs/heads/" + branch}
	for try := 1; ; try++ {
		result.Commit, err = PushOver(ctx, r, to, Draft{
			Environment: result.Environment, Base: base, Commit: result.Commit, Text: result.message.text(),
		})
		if !errors.Is(err, git.ErrMoved) || try == maxPushes {
			break
		}
	}
	if err != nil {
		return result, err
	}
	result.PullRequest, result.Opened, err = at.Propose(ctx, repository, forge.Request{
		Branch: branch, Into: up.Ref[len("refs/heads/"):], Title: result.message.title,
		Body: result.message.markdown(),
	})
	if err != nil {
		err = fmt.Errorf("the promotion is on %s: %w", to.Name(), err)
	}
	return result, err
}

// PushOver pushes a promotion to a branch, whatever earlier promotion is there, and returns the branch's
// commit. It does so without force, and fails with ErrOthersCommits where the branch has other commits.
func PushOver(ctx context.Context, r git.Repository, to git.Upstream, d Draft) (string, error) {
	base, commit := d.Base, d.Commit
	tip, err := r.Fetch(ctx, to)
	switch {
	case errors.Is(err, git.ErrNoBranch):
		return commit, r.Push(ctx, to, commit)
	case err != nil:
		return commit, err
	}
	others, err := r.Unmarked(ctx, base, tip, trailer+d.Environment+" ")
	if err == nil && others > 0 {
		err = fmt.Errorf("%s %w", to.Name(), ErrOthersCommits)
	}
	if err != nil {
		return commit, err
	}
	_, behind, err := r.Between(ctx, base, tip)
	if err != nil {
		return commit, err
	}
	same, err := r.SameFiles(ctx, commit, tip)
	if err != nil || same && behind == 0 {
		return tip, err
	}
	if commit, err = r.Over(ctx, commit, tip, d.Text, d.By); err != nil {
		return commit, err
	}
	return commit, r.Push(ctx, to, commit)
}
