package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/release"
)

// recall reads the record where it may have changed since it was read.
func (e *environment) recall(ctx context.Context) (ends bool, err error) {
	defer func() { e.update(func(s *Status) { s.Pauses = e.past.Pauses.Active(e.now()) }) }()
	before := e.past.Latest.Revision
	isNew, err := e.read(ctx, e.target.Records())
	if err != nil || !isNew {
		return false, err
	}
	if now := e.past.Latest.Revision; now < before {
		// The cluster was restored from a backup, or somebody has deleted records.
		e.log.Warn(fmt.Sprintf("the record went back from release %d to release %d: the commit is looked at again",
			before, now))
		e.looked, e.own = false, 0
	}
	isHolding := func(r release.Release) bool { return r.Revision == e.holder && r.Held() }
	if e.holder != 0 && !slices.ContainsFunc(e.past.Releases, isHolding) { // a person has lifted it
		e.looked, e.holder = false, 0
	}
	if e.holder == 0 && isWithdrawn(e.past.Releases, e.Status().Release) { // a person holds it back
		e.looked = false
	}
	isOverridden := e.past.Latest.Override != nil
	if v := e.Status().Verdict; (v == Waiting || v == Unproven || isOverridden) &&
		e.past.Latest.Status != release.Pending {
		// Somebody may have deployed.
		e.looked = false
	}
	return false, nil
}

// isWithdrawn says that a person has quarantined a release that has the objects of another one.
func isWithdrawn(all []release.Release, revision int) bool {
	return slices.ContainsFunc(all, func(r release.Release) bool {
		isSame := func(o release.Release) bool { return o.Revision == revision && o.Digest == r.Digest }
		return r.Held() && r.Quarantine.Who != "" && slices.ContainsFunc(all, isSame)
	})
}

// debounce waits until a burst of changes is over.
func debounce(ctx context.Context) {
	const pause = 20 * time.Millisecond
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}
