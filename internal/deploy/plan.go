package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	Permits
}

// Permits are what a caller lets a deploy do that it would refuse.
type Permits struct {
	// Force takes over fields that other managers own, TakeOver also an environment that Argo CD or Flux keeps.
	Force    bool `json:"forceConflicts,omitempty"`
	TakeOver bool `json:"takeOver,omitempty"`
	// Allow lets errors of check into production.
	Allow Allow `json:"allow,omitzero"`
	// AllowOlder lets the deploy go back in Git's history.
	AllowOlder bool `json:"allowOlder,omitempty"`
	// Prune are protected objects, "KIND/NAME", that may be deleted. PruneMany allows to delete a large part of
	// the environment.
	Prune     []string `json:"prune,omitempty"`
	PruneMany bool     `json:"pruneMany,omitempty"`
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
	prepared.Permits = o.Permits
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
	return propose(ctx, t, Prepared{Delete: true, Set: hooks, Permits: Permits{Prune: prune}}, past, look{})
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
