package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// delivery is the step that deploys the newest commit, or says why not.
type delivery struct {
	*state
	deployer *deployer
	waits    waits
}

// look plans the deploy of the newest commit, and decides what becomes of it.
func (d *delivery) look(ctx context.Context) error {
	if d.looked || d.now().Before(d.waits.opens) || d.waits.others && d.waits.forOthers() {
		return nil
	}
	if doesWait, err := d.waits.forCommit(ctx); doesWait || err != nil {
		return err
	}
	p, err := deploy.Propose(ctx, d.target, deploy.ProposeOptions{
		Past: &d.past, OnlyHere: true, Permits: deploy.Permits{TakeOver: d.policy.TakeOver},
	})
	if held, ok := errors.AsType[*deploy.QuarantinedError](err); ok {
		return d.hold(ctx, held)
	}
	if err != nil {
		return d.refuse(err)
	}
	runs := p.Latest.Status == release.Healthy && p.Latest.Digest == p.Prepared.Set.Digest() &&
		p.Latest.Override == nil
	switch {
	case p.Done(), runs:
		d.noteRunning(p)
		return nil
	case d.policy.OnCommit == Ask:
		d.looked = true // until somebody deploys
		d.judge(Waiting, "commit %s waits for `slipway deploy %s`", short(d.commit), d.name)
		d.update(func(s *Status) { s.Plan = &p.Plan })
		return nil
	case d.waits.forOthers(), d.waits.forWindow(), d.waits.forImage(p):
		return nil
	}
	err = errors.Join(p.Blocked(), d.onward(ctx, p))
	if errors.Is(err, errDeepened) {
		return d.look(ctx)
	}
	if err != nil {
		return d.refuse(err)
	}
	return d.carryOut(ctx, p)
}

// refuse judges that the commit cannot be deployed, and returns why.
func (d *delivery) refuse(err error) error {
	d.judge(Refused, "commit %s cannot be deployed", short(d.commit))
	return err
}

// noteRunning judges a commit whose objects run already.
func (d *delivery) noteRunning(p deploy.Proposal) {
	if p.Unsettled == "" {
		d.judged = time.Now()
	}
	if d.take(p, p.Latest) {
		d.judgeUnchanged(p.Latest.Revision, p.Latest.Commit)
	}
}

// carryOut deploys the commit, and judges it by what became of the release.
func (d *delivery) carryOut(ctx context.Context, p deploy.Proposal) error {
	d.judge(Deploying, "deploying commit %s", short(d.commit))
	began := time.Now() // records have whole seconds
	rel, err := d.deployer.apply(ctx, p)
	var failed *deploy.FailedError
	var superseded *deploy.SupersededError
	switch {
	case errors.As(err, &failed) && cluster.IsOutage(failed.Cause):
		d.judge(Waiting, "commit %s waits for the API server: it rejected release %d", short(d.commit),
			failed.Release.Revision)
		return err // it says nothing about the commit, which is deployed again
	case errors.As(err, &failed):
		return d.condemn(ctx, failed)
	case errors.As(err, &superseded):
		d.judge(Superseded, "commit %s was superseded by commit %s", short(d.commit), short(superseded.Commit))
		return nil
	case errors.Is(err, plan.ErrStale):
		return nil // somebody changed the cluster meanwhile: the next pass makes a new plan
	case err != nil:
		return err
	}
	if d.take(p, rel) {
		d.agent.counters.update(func(c *counters) { observe(c.healthy, d.name, deployTimes, time.Since(d.seen)) })
		d.judge(Synced, "commit %s is release %d, healthy after %.1f s", short(d.commit), rel.Revision,
			time.Since(began).Seconds())
	}
	return nil
}

// take notes the release that has the objects of the commit. It reports whether its pods ran, and judges the
// commit where they did not.
func (d *delivery) take(p deploy.Proposal, rel release.Release) (proven bool) {
	d.settle()
	d.key = d.keyOf(p)
	d.update(func(s *Status) { s.Applied, s.Release = rel.Commit, rel.Revision })
	if len(rel.NotRun) > 0 {
		d.judge(Unproven, "commit %s is release %d: %s", short(d.commit), rel.Revision, deploy.NotRunText(rel))
	}
	return len(rel.NotRun) == 0
}

// errDeepened says that the clone has more history now: a look at it may tell more.
var errDeepened = errors.New("the clone has more history now")

// onward refuses a commit that does not build on the one that runs, or on the one that was looked at last:
// the branch was rewritten, or somebody deployed another one.
func (d *delivery) onward(ctx context.Context, p deploy.Proposal) error {
	is := p.Prepared.Direction
	if is.Unknown != "" || is.Back != nil {
		if deepened, err := d.mirror.deepen(ctx); err != nil {
			return err
		} else if deepened {
			return errDeepened
		}
	}
	switch {
	case is.Unknown != "":
		return fmt.Errorf("cannot tell whether this goes back: %s: deploy it by hand if that is intended",
			is.Unknown)
	case is.Back != nil:
		return is.Back
	case d.settled == "":
		return nil
	}
	lost, err := d.mirror.loses(ctx, d.settled, d.target.Source)
	if err == nil && lost {
		err = fmt.Errorf("the history of %s was rewritten: commit %s does not contain %s, which was there before: "+
			"run `slipway deploy %s` at that commit if that is intended", d.mirror.Branch, short(d.commit),
			short(d.settled), d.name)
	}
	return err
}

// condemn quarantines what a failed release wanted. Deploy has gone back already where it could.
func (d *delivery) condemn(ctx context.Context, failed *deploy.FailedError) error {
	rel, err := d.target.Records().Hold(ctx, failed.Release.Revision, failed.Release.Failure, nil)
	if err != nil {
		return fmt.Errorf("quarantine release %d: %w", failed.Release.Revision, err)
	}
	d.announce("Failed", failed.Error(), true)
	if failed.RollbackErr != nil {
		d.announce("NotRolledBack", failed.RollbackErr.Error(), true)
		d.log.Error("not rolled back: "+failed.RollbackErr.Error(), "release", rel.Revision)
	}
	return d.hold(ctx, &deploy.QuarantinedError{Environment: d.name, Release: rel})
}

// hold keeps a commit back whose objects or images were bad, and reverts it on its branch where the policy
// says so.
func (d *delivery) hold(ctx context.Context, why *deploy.QuarantinedError) error {
	rel, what := why.Release, "its objects are"
	if why.Image != "" {
		what = fmt.Sprintf("its image %s is of", why.Image)
	}
	d.judge(Quarantined, "commit %s is held back: %s release %d, which is in quarantine: %s", short(d.commit),
		what, rel.Revision, rel.Quarantine.Reason)
	past, err := d.target.Records().Past(ctx)
	if err != nil {
		return err
	}
	d.holder = rel.Revision
	d.update(func(s *Status) { s.Applied, s.Release = past.Latest.Commit, past.Latest.Revision })
	if d.policy.WriteBack != Never {
		if err := (reverter{d.reporter, d.checkout}).revert(ctx, rel, past); err != nil {
			return fmt.Errorf("revert commit %s: %w", short(d.commit), err)
		}
	}
	d.settle()
	return nil
}

func short(commit string) string { return commit[:min(len(commit), 7)] }
