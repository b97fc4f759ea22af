package deploy

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// look says how the cluster is looked at.
type look struct {
	// force plans to take over fields that other managers own.
	force bool
	// before is what an earlier look found.
	before []plan.Observed
	// unordered: the changes are only read, in no order.
	unordered bool
}

// propose compares what is prepared with the cluster.
func propose(
	ctx context.Context, t Target, p Prepared, past release.Past, l look,
) (Proposal, error) {
	looked := time.Now()
	var err error
	if p.Set, err = placed(ctx, t, p.Set); err != nil {
		return Proposal{}, err
	}
	latest := past.Latest
	if latest.Objects, err = sharing(p.Set, latest.Objects); err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	past.Latest.Objects = latest.Objects // what it had before is not held
	var order plan.Order
	if !l.unordered {
		if order, err = plan.Arrange(p.Set, operationOf(p, past)); err != nil {
			return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
		}
	}
	mayDelete := append(deletable(latest, p), p.Added...)
	observed, err := observe(ctx, t, &p, latest, mayDelete, l)
	if err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	users, unlisted, err := listUsers(ctx, t, p.Set, observed)
	if err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	made := plan.Make(plan.Input{
		Users: users, Unlisted: unlisted,
		Environment: t.Environment.Name, Commit: p.Commit, Base: latest.Digest,
		Desired: p.Set, Recorded: latest.Objects, Observed: observed, Owned: mayDelete, Rollback: p.RollbackOf > 0,
		Ran: finishedJobs(p.Set, latest), Order: order, Named: p.Prune, Added: p.Added, Delete: p.Delete,
		Unfinished: latest.Revision > 0 && latest.Status != release.Healthy && latest.Status != release.Deleted,
	})
	if err := checkNamed(p, made); err != nil {
		return Proposal{}, err
	}
	renamed := renames(t, p, made, latest)
	nameMoves(made, renamed)
	proposal := Proposal{Prepared: p, Plan: made, Latest: latest, Observed: observed, owners: t.owners(latest),
		Pauses: past.Pauses.Active(time.Now()), renamed: renamed, moved: movedHere(past), force: l.force,
		looked: looked, records: past.Versions(), unmoved: past.Unmoved()}
	if err := proposal.index(); err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	if proposal.Keepers, err = keepers(ctx, t, observed, proposal.owners); err != nil {
		return Proposal{}, err
	}
	proposal.judge(ctx, t)
	return proposal, nil
}

// placed returns the objects in their namespaces, marked as the environment's.
func placed(ctx context.Context, t Target, set object.Set) (object.Set, error) {
	set, err := cluster.Place(ctx, t.Cluster, set)
	if err != nil {
		return set, err
	}
	return owned(set, t.owner())
}

// sharing returns the recorded objects with the parts that they have in common with the desired ones: a large
// set is not held twice.
func sharing(desired, recorded object.Set) (object.Set, error) {
	var pool object.Pool
	for _, o := range desired.Objects() {
		pool.Add(o)
	}
	return recorded.Map(func(o object.Object) (object.Object, error) {
		return pool.Share(o), nil // the pages and the agent read the record meanwhile
	})
}

// observe looks at the desired objects and at those that may be deleted, and marks those that must stay as
// they are. It notes in the review which of these the caller allows.
func observe(
	ctx context.Context, t Target, p *Prepared, latest release.Release, mayDelete []object.Ref, l look,
) ([]plan.Observed, error) {
	o := cluster.ObserveOptions{Owned: mayDelete, Force: l.force, Before: l.before, Back: p.RollbackOf > 0}
	if latest.Status == release.Healthy {
		o.Settled = latest.Settled
	}
	observed, err := cluster.Observe(ctx, t.Cluster, p.Set, o)
	if err != nil {
		return nil, err
	}
	markForeign(observed, t.owners(latest), p.Added, l.force)
	markRandom(t, observed, p, time.Now().Format(time.DateOnly))
	return observed, nil
}

// index fills in what is looked up by name.
func (p *Proposal) index() error {
	p.uids, p.places = map[object.Ref]string{}, map[object.Ref]int{}
	for i, seen := range p.Observed {
		p.places[seen.Ref] = i
		p.uids[seen.Ref], _ = seen.Live.At("metadata", "uid").(string)
		if seen.Err != nil {
			p.refusals = append(p.refusals, seen.Err)
		}
	}
	// The refs are the same, and so the sets share the index.
	var err error
	p.objects, err = p.Prepared.Set.Map(func(o object.Object) (object.Object, error) {
		return p.Observed[p.places[o.Ref()]].Desired, nil
	})
	return err
}

// finishedJobs returns the Jobs with a TTL that the last release, a healthy one, ran as they are desired.
func finishedJobs(desired object.Set, latest release.Release) []object.Ref {
	var refs []object.Ref
	for _, o := range desired.Objects() {
		before, ok := latest.Objects.Get(o.Ref())
		if ok && latest.Status == release.Healthy && hasTTL(o) && reflect.DeepEqual(o.Body, before.Body) {
			refs = append(refs, o.Ref())
		}
	}
	return refs
}

// hasTTL says that an object is a Job with a TTL, which is deleted when it is done.
func hasTTL(o object.Object) bool {
	r := o.Ref()
	return r.Group == "batch" && r.Kind == "Job" && o.At("spec", "ttlSecondsAfterFinished") != nil
}
