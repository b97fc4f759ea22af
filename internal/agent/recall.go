package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"slipway/internal/release"
)

// recall reads the record where it may have changed since it was read.
func (e *environment) recall(ctx context.Context) error {
	e.collect()
	defer func() { e.update(func(s *Status) { s.Pauses = e.past.Pauses.Active(time.Now()) }) }()
	if e.recalled && e.tracker != nil && e.tracker.HasRecords(e.past.Versions()) {
		return nil
	}
	past, err := e.target.Records().Past(ctx)
	if err != nil {
		return err
	}
	e.past, e.recalled = past, true
	isHolding := func(r release.Release) bool { return r.Revision == e.holder && r.Held() }
	if e.holder != 0 && !slices.ContainsFunc(past.Releases, isHolding) { // a person has lifted it
		e.looked, e.holder = false, 0
	}
	if v := e.Status().Verdict; (v == Waiting || v == Unproven) && past.Latest.Status != release.Pending {
		// Somebody may have deployed.
		e.looked = false
	}
	return nil
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

// changes receives after something has changed in the cluster.
func (e *environment) changes() <-chan struct{} {
	if e.tracker == nil {
		return nil
	}
	return e.tracker.Changed()
}

func (e *environment) stopTracking() {
	if e.tracker != nil {
		e.tracker.Stop()
		e.tracker, e.recalled = nil, false
	}
}

// collect adds to what has changed what the watches have told since.
func (e *environment) collect() {
	if e.tracker == nil {
		return
	}
	now := e.tracker.Take()
	e.touched = e.touched || now.Touched
	maps.Copy(now.Objects, e.moves.Objects)
	now.Others = now.Others || e.moves.Others
	e.moves = now
}
