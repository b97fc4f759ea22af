package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	if err := e.compare(ctx); err != nil {
		return err
	}
	e.notePolled()
	d := e.drift
	e.update(func(s *Status) { s.Drift = d.Count() })
	if d.Count() == 0 {
		e.reported = ""
		return nil
	}
	opens := e.repairOpens()
	if text := summary(d); text != e.reported {
		e.reported = text
		if e.policy.OnDrift == Repair && !opens.IsZero() {
			text += "; it is set back in the window that opens on " + opens.Format("Mon 2006-01-02 at 15:04 MST")
		}
		e.announce("Drifted", text, true)
		e.log.Warn("drift: "+text, "release", d.Release)
	}
	paused := e.past.Pauses.Holding(time.Now()) != nil
	if e.policy.OnDrift != Repair || d.Status != release.Healthy || d.Count() == len(d.Added) || paused ||
		!opens.IsZero() {
		return nil
	}
	return e.repair(ctx, d)
}

// compare brings the known drift up to date: it compares all objects after a deploy and each hour, and else
// those that have changed and those that are not watched.
func (e *environment) compare(ctx context.Context) error {
	rel := e.past.Latest
	if rel.Revision == e.own && rel.Status == release.Healthy {
		return e.compareOwn(ctx)
	}
	if rel.Revision != e.drift.Release || time.Since(e.verified) > verifyEvery {
		deploy.Track(e.tracker, e.target, rel)
		e.tracker.Take() // what has changed until now is compared next
		d, err := deploy.FindDriftFrom(ctx, e.target, e.past)
		if err != nil {
			e.verified = time.Time{}
			return err
		}
		e.drift, e.verified, e.moves = d, time.Now(), deploy.Moves{}
		return nil
	}
	refs := slices.AppendSeq(deploy.Untracked(e.tracker, rel), maps.Keys(e.moves.Objects))
	if len(refs) == 0 && !e.moves.Others {
		return nil
	}
	d, err := deploy.Recheck(ctx, e.target, e.past, e.drift, refs, e.moves.Others)
	if err == nil {
		e.drift, e.moves = d, deploy.Moves{}
	}
	return err
}

// compareOwn compares the objects that have changed since this process deployed and verified the release.
func (e *environment) compareOwn(ctx context.Context) error {
	deploy.Track(e.tracker, e.target, e.past.Latest)
	e.collect()
	refs := slices.AppendSeq(deploy.Unsure(e.tracker, e.past.Latest), maps.Keys(e.moves.Objects))
	d, err := deploy.Undrifted(e.target, e.past), error(nil)
	if len(refs) > 0 || e.moves.Others {
		d, err = deploy.Recheck(ctx, e.target, e.past, d, refs, e.moves.Others)
	}
	if err == nil {
		e.drift, e.moves, e.own, e.verified = d, deploy.Moves{}, 0, time.Now()
	}
	return err
}

// notePolled says which kinds are not watched.
func (e *environment) notePolled() {
	denied := e.tracker.Denied()
	if !slices.Equal(denied, e.Status().Polled) && len(denied) > 0 {
		e.log.Warn("polled, as they cannot be watched: " + strings.Join(denied, "; "))
	}
	e.update(func(s *Status) { s.Polled = denied })
}

// repair sets the recorded release back.
func (e *environment) repair(ctx context.Context, d deploy.Drift) error {
	if err := e.fight(d); err != nil {
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

// fightError says that a field was repaired too often. Nothing is repaired until the next commit, or for an
// hour.
type fightError struct {
	field, by string
	since     time.Time
}

func (e *fightError) Error() string {
	return fmt.Sprintf("not repaired: the field managers slipway and %s fight for %s: it was set back %d times "+
		"within a minute, and written again: stop one of the two", e.by, e.field, maxRepairs)
}

// fight fails with a *fightError where a field was repaired too often. It counts the repair that follows.
func (e *environment) fight(d deploy.Drift) error {
	now := time.Now()
	if e.fought != nil && now.Sub(e.fought.since) < verifyEvery {
		return e.fought
	}
	e.fought = nil
	for _, o := range d.Changed {
		fields := o.Fields
		if o.What == deploy.Deleted {
			fields = []deploy.DriftedField{{}}
		}
		for _, f := range fields {
			key := strings.TrimSpace(o.Ref.String() + " " + f.Path)
			recent := slices.DeleteFunc(e.repairs[key], func(at time.Time) bool { return now.Sub(at) > time.Minute })
			if len(recent) >= maxRepairs {
				e.fought = &fightError{field: key, by: manager(f), since: now}
				return e.fought
			}
			e.repairs[key] = append(recent, now)
		}
	}
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
