package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/release"
)

const (
	// maxRepairs is how often a field is set back within a minute: then somebody else writes it all the time.
	maxRepairs = 5
	// verifyEvery is how often all objects are compared, whatever the watches say. A fight ends after it, too.
	verifyEvery = time.Hour
)

// guard compares the cluster with the newest release, and sets it back where the policy says so.
func (e *environment) guard(ctx context.Context) error {
	if e.tracker == nil {
		e.tracker, e.verified = deploy.NewTracker(ctx, e.target), time.Time{}
		deploy.Track(e.tracker, e.target, e.past.Latest)
	}
	switch e.past.Latest.Status {
	case "", release.Deleted, release.Pending:
		return nil
	}
	if err := e.compare(ctx, e.target); err != nil {
		return err
	}
	e.notePolled(e.tracker.Denied())
	d := e.drift
	e.update(func(s *Status) { s.Drift = d.Count() })
	if d.Count() == 0 {
		e.reported = ""
		return nil
	}
	opens := opening(e.policy.RepairWindows, e.now())
	if text := summary(d); text != e.reported {
		e.reported = text
		if e.policy.OnDrift == Repair && !opens.IsZero() {
			text += "; it is set back in the window that opens on " + opens.Format("Mon 2006-01-02 at 15:04 MST")
		}
		e.announce("Drifted", text, true)
		e.log.Warn("drift: "+text, "release", d.Release)
	}
	paused := e.past.Pauses.Holding(e.now()) != nil
	if e.policy.OnDrift != Repair || d.Status != release.Healthy || d.Count() == len(d.Added) || paused ||
		!opens.IsZero() {
		return nil
	}
	return e.repair(ctx, d)
}

// notePolled says which kinds are not watched.
func (r *reporter) notePolled(denied []string) {
	if !slices.Equal(denied, r.Status().Polled) && len(denied) > 0 {
		r.log.Warn("polled, as they cannot be watched: " + strings.Join(denied, "; "))
	}
	r.update(func(s *Status) { s.Polled = denied })
}

// repair sets the recorded release back.
func (e *environment) repair(ctx context.Context, d deploy.Drift) error {
	if err := e.fights.count(d); err != nil {
		return err
	}
	p, err := deploy.ProposeRevert(ctx, e.target, nil)
	if err == nil {
		err = p.Blocked()
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if p.Plan.Empty() {
		return nil
	}
	rel, err := e.apply(ctx, p)
	if errors.Is(err, plan.ErrStale) {
		e.verified = time.Time{} // another look will tell
		return nil
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	e.agent.counters.update(func(c *counters) { c.repaired[e.name] += d.Count() - len(d.Added) })
	e.update(func(s *Status) { s.Drift, s.Release = len(d.Added), rel.Revision })
	e.log.Info("repaired: "+summary(d), "release", rel.Revision)
	e.announce("Repaired", "set back: "+summary(d), false)
	return nil
}

func manager(f deploy.DriftedField) string {
	if f.By == nil {
		return "somebody"
	}
	return f.By.Manager
}

// summary names what differs, with who changed it. Values are left out.
func summary(d deploy.Drift) string {
	var parts []string
	for _, o := range d.Changed {
		if len(o.Fields) == 0 {
			parts = append(parts, fmt.Sprintf("%s %s", o.Ref, o.What))
		}
		for _, f := range o.Fields {
			parts = append(parts, fmt.Sprintf("%s %s by %s", o.Ref, f.Path, manager(f)))
		}
	}
	for _, o := range d.Added {
		parts = append(parts, fmt.Sprintf("%s added", o.Ref))
	}
	return strings.Join(parts, "; ")
}
