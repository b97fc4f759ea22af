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
	// maxRepairs is how often a field is repaired within a minute: then somebody else writes it all the time.
	maxRepairs = 5
	// verifyEvery is how often all objects are compared, whatever the watches say. A fight ends after it, too.
	verifyEvery = time.Hour
)

// guard is the step that compares the cluster with the newest release, and sets it back where the policy says
// so.
type guard struct {
	*state
	deployer *deployer
	fights   fights
	reported string // the drift that was logged last
}

// check reports drift, and repairs it where the policy says so.
func (g *guard) check(ctx context.Context) error {
	if g.tracker == nil {
		g.tracker, g.verified = deploy.NewTracker(ctx, g.target), time.Time{}
		deploy.Track(g.tracker, g.target, g.past.Latest)
	}
	switch g.past.Latest.Status {
	case "", release.Deleted, release.Pending:
		return nil
	}
	if err := g.compare(ctx, g.target); err != nil {
		return err
	}
	g.notePolled(g.tracker.Denied())
	d := g.drift
	g.update(func(s *Status) { s.Drift = d.Count() })
	if d.Count() == 0 {
		g.reported = ""
		return nil
	}
	opens := opening(g.policy.RepairWindows, g.now())
	if text := summary(d); text != g.reported {
		g.reported = text
		if g.policy.OnDrift == Repair && !opens.IsZero() {
			text += "; it will be repaired in the window that opens on " + opens.Format("Mon 2006-01-02 at 15:04 MST")
		}
		g.announce("Drifted", text, true)
		g.log.Warn("drift: "+text, "release", d.Release)
	}
	paused := g.past.Pauses.Holding(g.now()) != nil
	if g.policy.OnDrift != Repair || d.Status != release.Healthy || d.Count() == len(d.Added) || paused ||
		!opens.IsZero() {
		return nil
	}
	return g.repair(ctx, d)
}

// notePolled says which kinds are not watched.
func (r *reporter) notePolled(denied []string) {
	if !slices.Equal(denied, r.Status().Polled) && len(denied) > 0 {
		r.log.Warn("polled, as they cannot be watched: " + strings.Join(denied, "; "))
	}
	r.update(func(s *Status) { s.Polled = denied })
}

// repair sets the recorded release back.
func (g *guard) repair(ctx context.Context, d deploy.Drift) error {
	if err := g.fights.count(d); err != nil {
		return err
	}
	p, err := deploy.ProposeRevert(ctx, g.target, nil)
	if err == nil {
		err = p.Blocked()
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if p.Plan.Empty() {
		return nil
	}
	rel, err := g.deployer.apply(ctx, p)
	if errors.Is(err, plan.ErrStale) {
		g.verified = time.Time{} // another look will tell
		return nil
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	g.agent.counters.update(func(c *counters) { c.repaired[g.name] += d.Count() - len(d.Added) })
	g.update(func(s *Status) { s.Drift, s.Release = len(d.Added), rel.Revision })
	g.log.Info("repaired: "+summary(d), "release", rel.Revision)
	g.announce("Repaired", summary(d), false)
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
