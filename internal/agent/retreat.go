package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// maxRetreats is how often a rollback is tried again that failed. Later ones would fail alike: a person is
// needed.
const maxRetreats = 5

// retreating is the rollback of a failed release that its deploy could not carry out.
type retreating struct {
	from  int // the release in quarantine
	tries int
	after time.Time // of the next try
}

// retreat tries again to roll back an environment that still has the objects of a failed release: an
// admission webhook that was down, for example, refuses the rollback as it refuses every write. It pauses
// longer after each try. It reports whether it acted.
func (e *environment) retreat(ctx context.Context) (acted bool, err error) {
	if e.holder == 0 || e.past.Latest.Status != release.Failed {
		e.retreating = retreating{}
		return false, nil
	}
	if e.retreating.from != e.holder {
		// The deploy has just tried.
		e.retreating = retreating{from: e.holder, after: time.Now().Add(backoff(e.mirror.Interval, 1))}
	}
	if e.retreating.tries >= maxRetreats || time.Now().Before(e.retreating.after) {
		return false, nil
	}
	e.retreating.tries++
	p, err := proposeBack(ctx, e.target)
	var back release.Release
	if err == nil {
		back, err = e.applyBack(ctx, p)
	}
	var none *deploy.NoHealthyError
	var barrier *deploy.BarrierError
	switch {
	case err == nil:
		e.looked, e.retreating = false, retreating{}
		e.tellBack(back, fmt.Sprintf("release %d failed, and was not rolled back at once", e.holder))
		return true, nil
	case errors.Is(err, plan.ErrStale), errors.As(err, new(*deploy.SupersededError)):
		e.retreating.tries--
		return true, err
	case errors.As(err, &none), errors.As(err, &barrier):
		e.retreating.tries = maxRetreats
	}
	e.retreating.after = time.Now().Add(backoff(e.mirror.Interval, e.retreating.tries))
	err = fmt.Errorf("roll back release %d: %w", e.holder, err)
	if e.retreating.tries == maxRetreats {
		err = fmt.Errorf("%w; not tried again: run `slipway rollback %s`", err, e.name)
	}
	return true, err
}

// proposeBack plans to deploy the last healthy release again.
func proposeBack(ctx context.Context, t deploy.Target) (deploy.Proposal, error) {
	p, err := deploy.ProposeRollback(ctx, t, deploy.RollbackOptions{})
	if err == nil {
		err = p.Blocked()
	}
	return p, err
}

// applyBack carries a rollback out, and returns the release that runs then: an older one where the proposed
// one is not healthy any more.
func (e *environment) applyBack(ctx context.Context, p deploy.Proposal) (release.Release, error) {
	back, err := e.apply(ctx, p)
	if failed := (*deploy.FailedError)(nil); errors.As(err, &failed) && failed.RolledBack != nil {
		return *failed.RolledBack, nil
	}
	return back, err
}

// tellBack says that an older release runs again, and why.
func (r *reporter) tellBack(back release.Release, why string) {
	r.log.Info(fmt.Sprintf("rolled back to release %d", back.RollbackOf), "release", back.Revision)
	r.announce("RolledBack", fmt.Sprintf("%s; release %d runs again", why, back.RollbackOf), true)
}
