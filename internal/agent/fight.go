package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/deploy"
)

// fightError says that a field was repaired too often. Nothing is repaired until the next commit, or for an
// hour.
type fightError struct {
	field, by string
	since     time.Time
}

func (e *fightError) Error() string {
	return fmt.Sprintf("not repaired: the field managers slipway and %s fight for %s: it was repaired %d "+
		"times within a minute, and changed again each time: stop one of the two", e.by, e.field, maxRepairs)
}

// fights are the repairs of the last minute.
type fights struct {
	repairs map[string][]time.Time // of each field
	ended   *fightError            // the fight that ended the repairs; nil: none
}

// count counts the repair that follows. It fails with a *fightError where a field was repaired too often.
func (f *fights) count(d deploy.Drift) error {
	now := time.Now()
	if f.ended != nil && now.Sub(f.ended.since) < verifyEvery {
		return f.ended
	}
	f.ended = nil
	if f.repairs == nil {
		f.repairs = map[string][]time.Time{}
	}
	for _, o := range d.Changed {
		fields := o.Fields
		if o.What == deploy.Deleted {
			fields = []deploy.DriftedField{{}}
		}
		for _, is := range fields {
			key := strings.TrimSpace(o.Ref.String() + " " + is.Path)
			recent := slices.DeleteFunc(f.repairs[key], func(at time.Time) bool { return now.Sub(at) > time.Minute })
			if len(recent) >= maxRepairs {
				f.ended = &fightError{field: key, by: manager(is), since: now}
				return f.ended
			}
			f.repairs[key] = append(recent, now)
		}
	}
	return nil
}
