package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/release"
)

// defaultWindow is how long after it became healthy a release that turns bad is rolled back. Later, something
// else is the more likely cause.
const defaultWindow = Duration(10 * time.Minute)

// watch rolls a release back that was healthy and has been bad for as long as it had to be healthy before. It
// reports whether it did.
func (e *environment) watch(ctx context.Context) (rolledBack bool, err error) {
	rel := e.past.Latest
	isOurs := rel.Status == release.Healthy && (rel.RollbackOf == 0 || rel.Revert)
	if !isOurs || time.Since(rel.Finished) > time.Duration(e.policy.WatchWindow) {
		e.badSince = time.Time{}
		return false, nil
	}
	if e.badSince.IsZero() && time.Since(e.judged) < e.calm(rel, time.Duration(e.mirror.Interval)) {
		return false, nil
	}
	e.judged, e.touched = time.Now(), false
	c, err := deploy.Health(ctx, e.target, rel)
	if text := strings.Join(c.Unseen, "; "); text != e.unseen {
		if e.unseen = text; text != "" {
			e.log.Warn(text)
		}
	}
	switch {
	case err != nil:
		e.touched = true // the next pass looks again
		return false, err
	case c.Healthy:
		e.badSince = time.Time{}
		return false, nil
	case e.badSince.IsZero():
		e.badSince = time.Now()
		e.log.Warn("not healthy any more: "+c.Text, "release", rel.Revision)
	}
	if time.Since(e.badSince) < deploy.SettleTime(e.target) {
		return false, nil
	}
	return true, e.rollBack(ctx, rel, c.Text)
}

// judgeEvery is how often the health of a release is judged in its watch window while the watches are silent.
const judgeEvery = 2 * time.Minute

// calm is how long a release that was found healthy needs no other look. Whatever loses its readiness gets
// another status, which a watch tells.
func (v *view) calm(rel release.Release, interval time.Duration) time.Duration {
	if v.touched || v.tracker == nil || len(deploy.Untracked(v.tracker, rel)) > 0 {
		return interval / 2 // what has woken the environment up is not its health
	}
	return judgeEvery
}

// rollBack quarantines a release and deploys the last healthy one again.
func (e *environment) rollBack(ctx context.Context, rel release.Release, why string) error {
	e.badSince = time.Time{}
	p, err := proposeBack(ctx, e.target)
	if err != nil {
		return fmt.Errorf("release %d is not healthy any more (%s): roll back: %w", rel.Revision, why, err)
	}
	ran, err := deploy.Ran(ctx, e.target, rel)
	if err != nil {
		e.log.Warn("which images ran is unknown: "+err.Error(), "release", rel.Revision)
	}
	rel, err = e.target.Records().Hold(ctx, rel.Revision, "it turned bad after it was healthy: "+why, ran)
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", rel.Revision, err)
	}
	back, err := e.applyBack(ctx, p)
	if err != nil {
		return fmt.Errorf("roll back release %d: %w", rel.Revision, err)
	}
	e.tellBack(back, fmt.Sprintf("release %d turned bad: %s", rel.Revision, why))
	e.looked = false // the commit is held now
	return nil
}
