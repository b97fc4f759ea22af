package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// holds says that a plan needs no second look under the lock: it is as recent as that, and the record is the
// same.
func (p Proposal) holds(past release.Past, recent time.Duration) bool {
	return time.Since(p.looked) < recent && past.Latest.Revision == p.Latest.Revision &&
		maps.Equal(past.Versions(), p.records)
}

// replan makes the plan again, under the lock: Apply does what was consented to.
func replan(ctx context.Context, r run, p Proposal, past release.Past) (Proposal, error) {
	t := r.target
	now, err := propose(ctx, t, p.Prepared, past, look{force: p.force, before: p.Observed})
	if err != nil {
		return now, err
	}
	if now.Latest.Revision != p.Latest.Revision {
		return now, fmt.Errorf("%w: release %d of %s was deployed since", plan.ErrStale, now.Latest.Revision,
			t.Environment.Name)
	}
	if r.options.Once && p.wasReleased(now) {
		return now, fmt.Errorf("%w: release %d of %s, which was running, has the same objects", plan.ErrStale,
			now.Latest.Revision, t.Environment.Name)
	}
	same := p.isSame
	if r.namespaceCreated {
		// Until its namespace existed, the server could not verify an object.
		same = p.hasSameActions
		if err := now.Blocked(); err != nil && !now.blocksLive() {
			return now, fmt.Errorf("namespace %s was created, and nothing else: %w", t.Cluster.Namespace(), err)
		}
	}
	if !same(p.withFinishedJobs(now)) {
		return now, fmt.Errorf("%w: objects of %s have changed", plan.ErrStale, t.Environment.Name)
	}
	return now, nil
}

// wasReleased says that the deploy that was running at the first plan has released the same objects. Where it
// ended while its record was read, it counts as interrupted.
func (p Proposal) wasReleased(now Proposal) bool {
	return p.Latest.Status != release.Healthy && now.Latest.Status == release.Healthy &&
		now.Latest.Digest == p.Prepared.Set.Digest()
}

// blocksLive says that an object that exists is blocked: it came after the plan.
func (p Proposal) blocksLive() bool {
	return slices.ContainsFunc(p.Observed, func(o plan.Observed) bool {
		return o.Err != nil && o.Live.Body != nil
	})
}

// isSame says that a later proposal does the same to the same objects.
func (p Proposal) isSame(now Proposal) bool {
	return now.Plan.Equal(p.Plan) && maps.Equal(now.uids, p.uids)
}

// hasSameActions says that a later proposal has the same actions, although it may verify more.
func (p Proposal) hasSameActions(now Proposal) bool { return maps.Equal(p.actions(), now.actions()) }

// withFinishedJobs returns the later proposal as it would be with the finished Jobs still in place: that
// their TTL has deleted them does not make the plan stale.
func (p Proposal) withFinishedJobs(now Proposal) Proposal {
	isCopy := false
	for _, was := range p.Plan.Changes {
		o, ok := p.objects.Get(was.Ref)
		if !ok || !hasTTL(o) {
			continue
		}
		i := slices.IndexFunc(now.Plan.Changes, func(c plan.Change) bool { return c.Ref == was.Ref })
		if i < 0 || !hasSameResult(was.Action, now.Plan.Changes[i].Action) {
			continue
		}
		if uid := now.uids[was.Ref]; uid != "" && uid != p.uids[was.Ref] {
			continue // another Job by now
		}
		if !isCopy {
			isCopy = true
			now.uids, now.Plan.Changes = maps.Clone(now.uids), slices.Clone(now.Plan.Changes)
		}
		now.Plan.Changes[i] = was
		if uid, ok := p.uids[was.Ref]; ok {
			now.uids[was.Ref] = uid
		}
	}
	return now
}

// hasSameResult says that two actions on a Job that its TTL has deleted have the same result.
func hasSameResult(was, now plan.Action) bool {
	return was == now || was == plan.Replace && now == plan.Create
}

// actions returns the actions, except on namespaces, one of which is created before the record.
func (p Proposal) actions() map[object.Ref]plan.Action {
	acts := map[object.Ref]plan.Action{}
	for _, c := range p.Plan.Changes {
		if c.Ref.Kind != "Namespace" {
			acts[c.Ref] = c.Action
		}
	}
	return acts
}
