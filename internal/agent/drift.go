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

// A field that was set back so often within a minute is written by somebody else all the time.
const maxRepairs = 5

// guard compares the cluster with the newest release, and sets it back where the policy says so.
func (e *environment) guard(ctx context.Context) error {
	d, err := deploy.FindDrift(ctx, e.target)
	if errors.Is(err, release.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	e.update(func(s *Status) { s.Drift = d.Count() })
	if d.Count() == 0 {
		e.reported = ""
		return nil
	}
	if text := summary(d); text != e.reported {
		e.reported = text
		e.log.Warn("drift: "+text, "release", d.Release)
	}
	if e.policy.OnDrift != Repair || d.Status != release.Healthy || d.Count() == len(d.Added) {
		return nil
	}
	if field, by := e.fight(d); field != "" {
		return fmt.Errorf("not repaired: %s was set back %d times within a minute, and %s writes it again: "+
			"stop one of the two", field, maxRepairs, by)
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
	rel, err := deploy.Apply(ctx, e.target, p, deploy.Options{Who: who})
	if errors.Is(err, plan.ErrStale) {
		return nil // another look will tell
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	e.agent.counters.update(func(c *counters) { c.repaired[e.name] += d.Count() - len(d.Added) })
	e.update(func(s *Status) { s.Drift, s.Release = len(d.Added), rel.Revision })
	e.log.Info("repaired: "+summary(d), "release", rel.Revision)
	return nil
}

// fight returns a field that was repaired too often, and who writes it. It counts the repair that follows.
func (e *environment) fight(d deploy.Drift) (field, by string) {
	now := time.Now()
	for _, o := range d.Changed {
		for _, f := range o.Fields {
			key := o.Ref.String() + " " + f.Path
			var recent []time.Time
			for _, at := range e.repairs[key] {
				if now.Sub(at) < time.Minute {
					recent = append(recent, at)
				}
			}
			if len(recent) >= maxRepairs {
				return key, manager(f)
			}
			e.repairs[key] = append(recent, now)
		}
	}
	return "", ""
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
