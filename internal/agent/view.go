package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/release"
)

// view is what was seen last of the cluster, and of the record.
type view struct {
	past     release.Past // as it was read last, when recalled is set
	recalled bool
	tracker  *deploy.Tracker // of the objects of past.Latest; nil: none yet
	moves    deploy.Moves    // what has changed since drift was found
	drift    deploy.Drift
	own      int       // the release that this process deployed and has not compared; 0: none
	verified time.Time // when all objects were compared
	judged   time.Time // when the health of past.Latest was judged
	touched  bool      // an object was written, if only in its status, since then
}

// read reads the record where it may have changed since it was read, and reports whether it did.
func (v *view) read(ctx context.Context, records release.Store) (bool, error) {
	v.collect()
	if v.recalled && v.tracker != nil && v.tracker.HasRecords(v.past.Versions()) {
		return false, nil
	}
	past, err := records.Past(ctx)
	if err == nil {
		v.past, v.recalled = past, true
	}
	return err == nil, err
}

// noteDeployed notes a release that this process has just deployed, and found healthy.
func (v *view) noteDeployed(rel release.Release) {
	v.past, v.recalled = v.past.Then(rel), true
	v.own, v.judged = rel.Revision, time.Now()
}

// changes receives after something has changed in the cluster.
func (v *view) changes() <-chan struct{} {
	if v.tracker == nil {
		return nil
	}
	return v.tracker.Changed()
}

func (v *view) stopTracking() {
	if v.tracker != nil {
		v.tracker.Stop()
		v.tracker, v.recalled = nil, false
	}
}

// collect adds to what has changed what the watches have told since.
func (v *view) collect() {
	if v.tracker == nil {
		return
	}
	now := v.tracker.Take()
	v.touched = v.touched || now.Touched
	maps.Copy(now.Objects, v.moves.Objects)
	now.Others = now.Others || v.moves.Others
	v.moves = now
}

// compare brings the known drift up to date: it compares all objects after a deploy and each hour, and else
// those that have changed and those that are not watched.
func (v *view) compare(ctx context.Context, t deploy.Target) error {
	rel := v.past.Latest
	if rel.Revision == v.own && rel.Status == release.Healthy {
		return v.compareOwn(ctx, t)
	}
	if rel.Revision != v.drift.Release || time.Since(v.verified) > verifyEvery {
		deploy.Track(v.tracker, t, rel)
		v.tracker.Take() // what has changed until now is compared next
		d, err := deploy.FindDriftFrom(ctx, t, v.past)
		if err != nil {
			v.verified = time.Time{}
			return err
		}
		v.drift, v.verified, v.moves = d, time.Now(), deploy.Moves{}
		return nil
	}
	refs := slices.AppendSeq(deploy.Untracked(v.tracker, rel), maps.Keys(v.moves.Objects))
	if len(refs) == 0 && !v.moves.Others {
		return nil
	}
	d, err := deploy.Recheck(ctx, t, v.past, v.drift, refs, v.moves.Others)
	if err == nil {
		v.drift, v.moves = d, deploy.Moves{}
	}
	return err
}

// compareOwn compares the objects that have changed since this process deployed and verified the release.
func (v *view) compareOwn(ctx context.Context, t deploy.Target) error {
	deploy.Track(v.tracker, t, v.past.Latest)
	v.collect()
	refs := slices.AppendSeq(deploy.Unsure(v.tracker, v.past.Latest), maps.Keys(v.moves.Objects))
	d, err := deploy.Undrifted(t, v.past), error(nil)
	if len(refs) > 0 || v.moves.Others {
		d, err = deploy.Recheck(ctx, t, v.past, d, refs, v.moves.Others)
	}
	if err == nil {
		v.drift, v.moves, v.own, v.verified = d, deploy.Moves{}, 0, time.Now()
	}
	return err
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
