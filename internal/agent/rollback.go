package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// defaultWindow is how long after it became healthy a release that turns bad is rolled back. Later, something
// else is the more likely cause.
const defaultWindow = Duration(10 * time.Minute)

// rollback is the step that rolls bad releases back: one that failed, where its deploy could not, and one
// that turned bad later.
type rollback struct {
	*state
	deployer   *deployer
	retreating retreating
	badSince   time.Time // of the release that runs; zero: it is healthy
	unseen     string    // what could not be looked at, as it was logged last
}

// watch rolls a release back that was healthy and has been bad for as long as it had to be healthy before. It
// reports whether it did.
func (b *rollback) watch(ctx context.Context) (rolledBack bool, err error) {
	rel := b.past.Latest
	isOurs := rel.Status == release.Healthy && (rel.RollbackOf == 0 || rel.Revert)
	if !isOurs || time.Since(rel.Finished) > time.Duration(b.policy.WatchWindow) {
		b.badSince = time.Time{}
		return false, nil
	}
	if b.badSince.IsZero() && time.Since(b.judged) < b.calm(rel, time.Duration(b.mirror.Interval)) {
		return false, nil
	}
	b.judged, b.touched = time.Now(), false
	c, err := deploy.Health(ctx, b.target, rel)
	if text := strings.Join(c.Unseen, "; "); text != b.unseen {
		if b.unseen = text; text != "" {
			b.log.Warn(text)
		}
	}
	switch {
	case err != nil:
		b.touched = true // the next pass looks again
		return false, err
	case c.Healthy:
		b.badSince = time.Time{}
		return false, nil
	case b.badSince.IsZero():
		b.badSince = time.Now()
		b.log.Warn("not healthy any more: "+c.Text, "release", rel.Revision)
	}
	if time.Since(b.badSince) < deploy.SettleTime(b.target) {
		return false, nil
	}
	return true, b.rollBack(ctx, rel, c.Text)
}

// rollBack quarantines a release and deploys the last healthy one again.
func (b *rollback) rollBack(ctx context.Context, rel release.Release, why string) error {
	b.badSince = time.Time{}
	p, err := proposeBack(ctx, b.target)
	if err != nil {
		return fmt.Errorf("release %d is not healthy any more (%s): roll back: %w", rel.Revision, why, err)
	}
	ran, err := deploy.Ran(ctx, b.target, rel)
	if err != nil {
		b.log.Warn("cannot tell which images ran: "+err.Error(), "release", rel.Revision)
	}
	rel, err = b.target.Records().Hold(ctx, rel.Revision, "it turned bad after it was healthy: "+why, ran)
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", rel.Revision, err)
	}
	back, err := b.applyBack(ctx, p)
	if err != nil {
		return fmt.Errorf("roll back release %d: %w", rel.Revision, err)
	}
	b.tellBack(back, fmt.Sprintf("release %d turned bad: %s", rel.Revision, why))
	b.looked = false // the commit is held now
	return nil
}

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
func (b *rollback) retreat(ctx context.Context) (acted bool, err error) {
	if b.holder == 0 || b.past.Latest.Status != release.Failed {
		b.retreating = retreating{}
		return false, nil
	}
	if b.retreating.from != b.holder {
		// The deploy has just tried.
		b.retreating = retreating{from: b.holder, after: time.Now().Add(backoff(b.mirror.Interval, 1))}
	}
	if b.retreating.tries >= maxRetreats || time.Now().Before(b.retreating.after) {
		return false, nil
	}
	b.retreating.tries++
	p, err := proposeBack(ctx, b.target)
	var back release.Release
	if err == nil {
		back, err = b.applyBack(ctx, p)
	}
	var none *deploy.NoHealthyError
	var barrier *deploy.BarrierError
	switch {
	case err == nil:
		b.looked, b.retreating = false, retreating{}
		b.tellBack(back, fmt.Sprintf("release %d failed, and was not rolled back at once", b.holder))
		return true, nil
	case errors.Is(err, plan.ErrStale), errors.As(err, new(*deploy.SupersededError)):
		b.retreating.tries--
		return true, err
	case errors.As(err, &none), errors.As(err, &barrier):
		b.retreating.tries = maxRetreats
	}
	b.retreating.after = time.Now().Add(backoff(b.mirror.Interval, b.retreating.tries))
	err = fmt.Errorf("roll back release %d: %w", b.holder, err)
	if b.retreating.tries == maxRetreats {
		err = fmt.Errorf("%w; not tried again: run `slipway rollback %s`", err, b.name)
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
func (b *rollback) applyBack(ctx context.Context, p deploy.Proposal) (release.Release, error) {
	back, err := b.deployer.apply(ctx, p)
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
