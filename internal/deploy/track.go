package deploy

import (
	"context"
	"slices"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/release"
)

// Tracker tells which objects of an environment have changed in the cluster: see cluster.Tracker.
type Tracker = cluster.Tracker

// Moves are what has changed in the cluster.
type Moves = cluster.Moves

// NewTracker returns a tracker for a target. The caller calls Stop.
func NewTracker(ctx context.Context, t Target) *Tracker { return cluster.NewTracker(ctx, t.Cluster) }

// Track makes a tracker watch the objects of a release, and the records of the environment.
func Track(tracker *Tracker, t Target, rel release.Release) {
	tracker.Track(steady(rel), t.Records().Selector())
}

// steady are the objects of a release that stay: hooks have run, and may be deleted.
func steady(rel release.Release) []object.Ref {
	var refs []object.Ref
	for _, o := range rel.Objects.Objects() {
		if !o.IsHook() {
			refs = append(refs, o.Ref())
		}
	}
	return refs
}

// Untracked are the objects of a release whose changes the tracker does not tell.
func Untracked(tracker *Tracker, rel release.Release) []object.Ref {
	return slices.DeleteFunc(steady(rel), tracker.Watches)
}

// Unsure are the objects of a release of this process that may not be as they were when it was verified:
// those that were not as the source wants them, and those that the tracker knows in another version.
func Unsure(tracker *Tracker, rel release.Release) []object.Ref {
	return slices.DeleteFunc(steady(rel), func(ref object.Ref) bool {
		version := rel.Seen[ref]
		return version != "" && tracker.IsAt(ref, version)
	})
}

// Undrifted is the drift of a release where nothing differs.
func Undrifted(t Target, past release.Past) Drift {
	return Drift{Environment: t.Environment.Name, Release: past.Latest.Revision, Status: past.Latest.Status,
		Changed: []Drifted{}, Pauses: past.Pauses.Active(time.Now())}
}

// Recheck compares some objects of the newest release again, and returns the drift with what it found in
// place of what was known of them. With others it looks for added objects too.
func Recheck(ctx context.Context, t Target, past release.Past, known Drift, refs []object.Ref, others bool) (
	Drift, error) {
	part := past
	part.Latest.Objects = object.Set{}
	part.Latest.Objects.Conceal(past.Latest.Objects.Concealed())
	for _, o := range past.Latest.Objects.Objects() {
		if !o.IsHook() && slices.Contains(refs, o.Ref()) {
			if err := part.Latest.Objects.Add(o); err != nil {
				return known, err
			}
		}
	}
	part.Latest.Owned = part.Latest.Objects.Refs()
	now, err := driftBy(ctx, t, part, look{force: true, unordered: true})
	if err != nil {
		return known, err
	}
	for _, o := range known.Changed {
		if !slices.Contains(refs, o.Ref) {
			now.Changed = append(now.Changed, o)
		}
	}
	slices.SortFunc(now.Changed, func(a, b Drifted) int { return a.Ref.Compare(b.Ref) })
	now.Added, now.Others, now.Tags = known.Added, known.Others, known.Tags
	if others {
		now.Added, now.Others = nil, nil
		findStrays(ctx, t, past.Latest, &now)
	}
	return now, nil
}
