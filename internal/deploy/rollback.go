package deploy

import (
	"context"
	"errors"

	"slipway/internal/release"
	"slipway/internal/rollout"
)

// RollbackOptions say what a rollback goes back to.
type RollbackOptions struct {
	// Revision is the release to go back to; 0: the last healthy one before the newest.
	Revision int
	// Force takes over fields that other managers own.
	Force bool
	// CrossBarrier goes back behind a barrier.
	CrossBarrier bool
}

// ProposeRollback plans to deploy a recorded release again. Revision 0 is the last healthy one before the
// newest; it fails with a *NoHealthyError when there is none.
func ProposeRollback(ctx context.Context, t Target, o RollbackOptions) (Proposal, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return Proposal{}, err
	}
	p, err := proposeRollback(ctx, t, past, o)
	if err != nil {
		return p, err
	}
	rel := release.Release{Revision: p.Prepared.RollbackOf, Objects: p.Prepared.Set}
	if p.Prepared.Review, err = reviewRecorded(ctx, t, rel); err != nil {
		t.warn(Rollback, nil, "the objects were not checked: %v", err)
	}
	p.sayUnseen(t)
	warnOfGone(ctx, t, p.Prepared)
	return p, nil
}

func proposeRollback(
	ctx context.Context, t Target, past release.Past, o RollbackOptions,
) (Proposal, error) {
	revision := o.Revision
	if revision == 0 {
		here := past.Here()
		switch i := wayBack(here); {
		case i >= 0:
			revision = here[i].Revision
		case hasGoneBack(past):
			revision = past.Latest.RollbackOf
		default:
			return Proposal{}, noWayBack(t, past)
		}
	}
	if err := refuseMoved(t, past, revision); err != nil {
		return Proposal{}, err
	}
	barrier := barrierBetween(past, revision)
	if barrier != nil && !o.CrossBarrier {
		return Proposal{}, barrier
	}
	rel, err := t.Records().Get(ctx, revision)
	if err == nil {
		rel.Objects, err = withoutAnalysis(rel.Objects)
	}
	if err != nil {
		return Proposal{}, err
	}
	prepared := Prepared{Set: rel.Objects, Images: rel.Images, Commit: rel.Commit, Tag: rel.Tag,
		Dirty: rel.Dirty, RollbackOf: rel.Revision, Override: rel.Override}
	if barrier != nil {
		prepared.Crossed = barrier.Barriers
	}
	return propose(ctx, t, prepared, past, look{force: o.Force})
}

// hasGoneBack says that the newest release is the healthy rollback of a failed one, as a deploy makes by
// itself.
func hasGoneBack(past release.Past) bool {
	here := past.Here()
	return past.Latest.RollbackOf > 0 && past.Latest.Status == release.Healthy && len(here) > 1 &&
		here[1].Status == release.Failed
}

// maxWaysBack is how many releases an automatic rollback tries.
const maxWaysBack = 2

// rollBack deploys the last healthy release, and an older one if that is not healthy any more. The caller
// holds the lock.
func rollBack(ctx context.Context, r run, past release.Past, force bool) (*release.Release, error) {
	var failed error
	for range maxWaysBack {
		rel, err := goBack(ctx, r, past, force)
		isNone := errors.As(err, new(*NoHealthyError)) || errors.As(err, new(*MovedError))
		if failed != nil && isNone {
			return nil, failed
		}
		if err == nil {
			return &rel, nil
		}
		failed = err
		if sick := (*rollout.NotHealthyError)(nil); !errors.As(err, &sick) {
			break
		}
		past = past.Then(rel)
	}
	return nil, failed
}

func goBack(ctx context.Context, r run, past release.Past, force bool) (release.Release, error) {
	p, err := proposeRollback(ctx, r.target, past, RollbackOptions{Force: force})
	if err != nil {
		return release.Release{}, err
	}
	r.target.say(Rollback, nil, "rolling back to release %d (%s)", p.Prepared.RollbackOf, p.Prepared.Tag)
	if err := permit(ctx, r.target, p); err != nil {
		return release.Release{}, err
	}
	return carryOut(ctx, r, p, past)
}
