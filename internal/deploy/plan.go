package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// Proposal is a plan, with what it was made from.
type Proposal struct {
	Prepared Prepared
	Plan     plan.Plan
	// Latest is the release that the plan starts from; the zero value when there is none.
	Latest release.Release
	// Elsewhere are the newest releases in other namespaces, of the environment and of those that the project
	// had once.
	Elsewhere []release.Release
	// Observed are the objects as the cluster has them.
	Observed []plan.Observed
	// Keepers are other tools that deploy objects of the plan.
	Keepers []Keeper
	// Pauses keep an agent from changing the environment.
	Pauses release.Pauses
	// Found says that the latest release was recorded as healthy, and is not any more; nil where it is.
	Found *release.Found
	// Unsettled says which object of that release is not healthy, or has restarted a short while ago; empty
	// where all are healthy.
	Unsettled string
	// Unseen is what could not be looked at to tell that, a sentence each.
	Unseen []string
	// objects are the objects to apply: the prepared ones with their namespaces, and with the replicas that an
	// autoscaler has set.
	objects object.Set
	// uids are those of the live objects: another object of the same name is not touched.
	uids map[object.Ref]string
	// places are the indexes of Observed.
	places map[object.Ref]int
	// refusals are why objects are blocked.
	refusals []error
	// moved is the newest release in the namespace that the environment had before; the zero value where it had
	// no other, or runs in the present one.
	moved release.Release
	// owners are the owners whose objects are the environment's.
	owners []string
	// renamed are the Helm releases with another name than before.
	renamed []rename
	force   bool
	// kept is a keeper that must stop before; nil without one.
	kept *Keeper
	// looked is when the cluster was asked, and records are the versions of the records then.
	looked  time.Time
	records map[string]string
	unmoved time.Time // see release.Past
}

// Done says that the cluster and the record are as the plan wants them.
func (p Proposal) Done() bool {
	wanted := release.Healthy
	if p.Prepared.Delete {
		wanted = release.Deleted
	}
	never := p.Prepared.Delete && p.Latest.Revision == 0
	isProven := p.Latest.Status == wanted && len(p.Latest.NotRun) == 0
	if (p.Latest.Override == nil) != (p.Prepared.Override == nil) {
		return false // the record must say whether Git states the images
	}
	return p.Plan.Empty() && p.Plan.Complete && (isProven || never)
}

// seen returns what Observe found of an object.
func (p Proposal) seen(ref object.Ref) (plan.Observed, bool) {
	i, ok := p.places[ref]
	if !ok {
		return plan.Observed{}, false
	}
	return p.Observed[i], true
}

// Blocked returns a *KeptError when another tool must stop before, and a *BlockedError when the API server
// would refuse a part of the plan.
func (p Proposal) Blocked() error {
	if p.kept != nil {
		return &KeptError{Environment: p.Plan.Environment, Keeper: *p.kept}
	}
	var blocked []plan.Change
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Blocked {
			blocked = append(blocked, c)
		}
	}
	if len(blocked) == 0 {
		return p.limit()
	}
	return &BlockedError{Environment: p.Plan.Environment, Changes: blocked, Causes: p.refusals}
}

// QuarantinedError says that the same objects, or one of their images, were bad before.
type QuarantinedError struct {
	Environment string
	Release     release.Release
	// Image is the one that is held back; empty where the whole set is.
	Image string
	// Promoting: it was to be written into the environment's files.
	Promoting bool
}

func (e *QuarantinedError) Error() string {
	q := e.Release.Quarantine
	act := "deploy"
	if e.Promoting {
		act = "promote to"
	}
	if e.Image != "" {
		return fmt.Sprintf("%s %s: image %s came with release %d, which is in quarantine since %s: %s",
			act, e.Environment, e.Image, e.Release.Revision, q.Since.Format(time.RFC3339), q.Reason)
	}
	return fmt.Sprintf("deploy %s: these objects are release %d, which is in quarantine since %s: %s",
		e.Environment, e.Release.Revision, q.Since.Format(time.RFC3339), q.Reason)
}

// ProposeOptions say how a proposal is made.
type ProposeOptions struct {
	PrepareOptions
	// Past is the record as the caller has just read it; nil: Propose reads it.
	Past *release.Past
	// OnlyHere leaves Proposal.Elsewhere empty: other namespaces are not asked.
	OnlyHere bool
	// Force plans to take over fields that other managers own, TakeOver also an environment that Argo CD or Flux
	// keeps.
	Force, TakeOver bool
	// Allow lets errors of check into production.
	Allow Allow
	// AllowOlder lets the deploy go back in Git's history.
	AllowOlder bool
	// Prune and PruneMany are those of Prepared.
	Prune     []string
	PruneMany bool
}

// Propose renders an environment, checks it, resolves or builds its images, verifies that they run on the
// cluster's nodes, and plans. It writes nothing to the cluster. The record is read before images are built: a
// deploy that cannot read it must not build one. It fails with a *CheckError before it asks the cluster for
// anything but what charts need.
func Propose(ctx context.Context, t Target, o ProposeOptions) (Proposal, error) {
	o.ordered = true
	r, reviewed, err := renderReviewed(ctx, t, o)
	if err != nil {
		return Proposal{}, err
	}
	var past release.Past
	var direction Direction
	mayBuild := o.Build && len(t.Source.Project.Images) > 0
	if mayBuild {
		if past, direction, err = pastOf(ctx, t, o, r.result.Set); err != nil {
			return Proposal{}, errors.Join(err, r.close())
		}
	}
	prepared, err := pinTarget(ctx, t, r, o.PrepareOptions)
	// Not later: the renderer holds what it has read, and a large set is not held twice.
	if err := errors.Join(err, r.close()); err != nil {
		return Proposal{}, err
	}
	r = rendering{}
	if !mayBuild {
		if past, direction, err = pastOf(ctx, t, o, prepared.Set); err != nil {
			return Proposal{}, err
		}
	}
	prepared.Review, prepared.Direction = reviewed, direction
	if err := fit(ctx, t, prepared, past.Latest); err != nil {
		return Proposal{}, err
	}
	prepared.Prune, prepared.PruneMany, prepared.Allow = o.Prune, o.PruneMany, o.Allow
	warnOfMovedTags(t, prepared, past.Latest)
	var others []release.Release
	if !o.OnlyHere {
		if others, err = elsewhere(ctx, t, past.Latest); err != nil {
			return Proposal{}, err
		}
	}
	records := release.Past{Releases: past.Releases} // without objects: those of the proposal are enough
	p, err := propose(ctx, t, prepared, past, look{force: o.Force || o.TakeOver})
	if err != nil {
		return p, err
	}
	if !o.TakeOver {
		if err := p.findKept(ctx, t); err != nil {
			return p, err
		}
	}
	if held, ok := records.Quarantined(p.Plan.Digest); ok {
		return p, &QuarantinedError{Environment: t.Environment.Name, Release: held}
	}
	if held, pin, ok := records.QuarantinedImage(p.Prepared.Images); ok {
		return p, &QuarantinedError{Environment: t.Environment.Name, Release: held, Image: pin.Reference()}
	}
	p.Elsewhere = others
	p.sayUnseen(t)
	locateRefusals(ctx, t, &p)
	return p, nil
}

// pastOf returns the record, what is known of it or else what is read, and where the deploy goes from there.
// It fails where a deploy must not go there. The recorded objects share their equal parts with the set.
func pastOf(
	ctx context.Context, t Target, o ProposeOptions, set object.Set,
) (release.Past, Direction, error) {
	var past release.Past
	var err error
	if o.Past != nil {
		past = *o.Past
	} else {
		records := t.Records()
		records.Alike = set
		past, err = records.Past(ctx)
	}
	if err != nil {
		return past, Direction{}, err
	}
	direction := directionOf(ctx, t, past.Latest, o.AllowOlder)
	if o.Build {
		err = direction.refusal()
	}
	return past, direction, err
}

// ProposeDelete plans to delete the objects that the releases of an environment recorded, and the protected
// ones that prune names.
func ProposeDelete(ctx context.Context, t Target, prune []string) (Proposal, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return Proposal{}, err
	}
	hooks, err := deleteHooks(past.Latest.Objects)
	if err != nil {
		return Proposal{}, err
	}
	return propose(ctx, t, Prepared{Delete: true, Set: hooks, Prune: prune}, past, look{})
}

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
	latest, looked := past.Latest, time.Now()
	set, err := cluster.Place(ctx, t.Cluster, p.Set)
	if err != nil {
		return Proposal{}, err
	}
	if p.Set, err = owned(set, t.owner()); err != nil {
		return Proposal{}, err
	}
	var pool object.Pool
	for _, o := range p.Set.Objects() {
		pool.Add(o)
	}
	if latest.Objects, err = latest.Objects.Map(func(o object.Object) (object.Object, error) {
		return pool.Share(o), nil // the pages and the agent read the record meanwhile
	}); err != nil {
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
	seeing := cluster.ObserveOptions{Owned: mayDelete, Force: l.force, Before: l.before, Back: p.RollbackOf > 0}
	if latest.Status == release.Healthy {
		seeing.Settled = latest.Settled
	}
	observed, err := cluster.Observe(ctx, t.Cluster, p.Set, seeing)
	if err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	markForeign(observed, t.owners(latest), p.Added, l.force)
	markRandom(t, observed, &p, time.Now().Format(time.DateOnly))
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
		Pauses: past.Pauses.Active(time.Now()), renamed: renamed, moved: movedHere(past),
		uids: map[object.Ref]string{}, places: map[object.Ref]int{}, force: l.force, looked: looked,
		records: past.Versions(), unmoved: past.Unmoved()}
	for i, seen := range observed {
		proposal.places[seen.Ref] = i
		proposal.uids[seen.Ref], _ = seen.Live.At("metadata", "uid").(string)
		if seen.Err != nil {
			proposal.refusals = append(proposal.refusals, seen.Err)
		}
	}
	// The refs are the same, and so the sets share the index.
	proposal.objects, err = p.Set.Map(func(o object.Object) (object.Object, error) {
		return observed[proposal.places[o.Ref()]].Desired, nil
	})
	if err != nil {
		return Proposal{}, fmt.Errorf("plan %s: %w", t.Environment.Name, err)
	}
	if proposal.Keepers, err = keepers(ctx, t, observed, proposal.owners); err != nil {
		return Proposal{}, err
	}
	proposal.judge(ctx, t)
	return proposal, nil
}

// warnOfMovedTags warns when the tag of the last release names other content now.
func warnOfMovedTags(t Target, p Prepared, latest release.Release) {
	for _, now := range p.Images {
		for _, was := range latest.Images {
			if now.Tag != "" && now.Tag == was.Tag && now.Repository == was.Repository &&
				now.Digest != "" && was.Digest != "" && now.Digest != was.Digest {
				t.warn(Image, nil, "%s:%s was %s in release %d and is %s now: the tag was moved. Name "+
					"the digest in the manifests to keep the tested content",
					now.Repository, now.Tag, was.Digest, latest.Revision, now.Digest)
			}
		}
	}
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

// holds says that a plan needs no second look under the lock: it is as recent as that, and the record is the
// same.
func (p Proposal) holds(past release.Past, recent time.Duration) bool {
	return time.Since(p.looked) < recent && past.Latest.Revision == p.Latest.Revision &&
		maps.Equal(past.Versions(), p.records)
}

// replan makes the plan again, under the lock: Apply does what was consented to.
func replan(ctx context.Context, t Target, p Proposal, past release.Past, created bool) (Proposal, error) {
	now, err := propose(ctx, t, p.Prepared, past, look{force: p.force, before: p.Observed})
	if err != nil {
		return now, err
	}
	if now.Latest.Revision != p.Latest.Revision {
		return now, fmt.Errorf("%w: release %d of %s was deployed since", plan.ErrStale, now.Latest.Revision,
			t.Environment.Name)
	}
	if created && !now.blocksLive() {
		// Until its namespace existed, the server could not verify an object.
		if err := now.Blocked(); err != nil {
			return now, fmt.Errorf("namespace %s was created, and nothing else: %w", t.Cluster.Namespace(), err)
		}
	}
	if !p.same(now, created) {
		return now, fmt.Errorf("%w: objects of %s have changed", plan.ErrStale, t.Environment.Name)
	}
	return now, nil
}

// blocksLive says that an object that exists is blocked: it came after the plan.
func (p Proposal) blocksLive() bool {
	return slices.ContainsFunc(p.Observed, func(o plan.Observed) bool {
		return o.Err != nil && o.Live.Body != nil
	})
}

// same says that a later proposal does the same to the same objects. After the namespace of the environment
// was created the server can verify more, but the actions must be the same.
func (p Proposal) same(now Proposal, created bool) bool {
	now = p.withFinishedJobs(now)
	if !created {
		return now.Plan.Equal(p.Plan) && maps.Equal(now.uids, p.uids)
	}
	return maps.Equal(p.actions(), now.actions())
}

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
