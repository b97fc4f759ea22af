package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// Options are the options of Apply.
type Options struct {
	// Who deploys, for the record: a person or a CI run.
	Who string
	// Timeout bounds the watch; 0: the deadlines of the objects.
	Timeout time.Duration
	// Settle is how long changed workloads must stay ready without a restart; nil: what the class requires, see
	// settleTime.
	Settle *time.Duration
	// NoRollback keeps a failed release in place, to inspect it.
	NoRollback bool
	// Recent is how old the look at the cluster may be that the plan was made from; an older one is repeated
	// under the lock, and so is any where this is 0. Some time passes between each look and the write after it;
	// the consent of a person makes it long.
	Recent time.Duration
	// Once: objects that another deploy has released while this one waited for the lock are not released again.
	// Apply fails with plan.ErrStale then.
	Once bool
	// Reason is why, for the record; it may be empty.
	Reason string
	// Leader is the replica of the agent that deploys, for the record; nil: no agent does.
	Leader *release.Leader
}

// FailedError says that a release was applied, at least in part, and did not become healthy.
type FailedError struct {
	Environment string
	Release     release.Release
	// Cause is a *rollout.NotHealthyError, or the error of an apply.
	Cause error
	// RolledBack is the release that replaced it; nil when there is none.
	RolledBack *release.Release
	// RollbackErr is why the rollback failed, or was not possible.
	RollbackErr error
}

func (e *FailedError) Error() string {
	s := fmt.Sprintf("release %d of %s failed: %v", e.Release.Revision, e.Environment, e.Cause)
	switch {
	case e.RolledBack != nil:
		s += fmt.Sprintf("; %s runs release %d again", e.Environment, e.RolledBack.RollbackOf)
	case e.RollbackErr != nil:
		s += fmt.Sprintf("; not rolled back: %v", e.RollbackErr)
	}
	return s
}

func (e *FailedError) Unwrap() error { return e.Cause }

// BlockedError says that the API server would refuse some changes of a plan.
type BlockedError struct {
	Environment string
	Changes     []plan.Change
	// Causes are the errors behind the changes, where there are any.
	Causes []error
}

func (e *BlockedError) Error() string {
	c := e.Changes[0]
	more := ""
	if n := len(e.Changes) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("plan of %s is blocked: %s: %s%s", e.Environment, c.Ref, strings.TrimPrefix(c.Reason,
		c.Ref.String()+": "), more)
}

func (e *BlockedError) Unwrap() []error { return e.Causes }

// run is one Apply.
type run struct {
	target  Target
	options Options
	// namespaceCreated: the run has created the namespace of the environment.
	namespaceCreated bool
	// lock is nil while the namespace that it is kept in is created.
	lock *release.Lock
	// say says what a watch cannot see.
	say func(string)
}

// mayWrite returns when the lock is known to be ours.
func (r run) mayWrite(ctx context.Context) error {
	if r.lock == nil {
		return nil
	}
	return r.lock.Held(ctx)
}

// guarded returns a context whose writes need the lock, also those that are tried again.
func (r run) guarded(ctx context.Context) context.Context {
	if r.lock == nil {
		return ctx
	}
	return cluster.WithFence(ctx, r.lock.Fence)
}

// Apply carries out a proposal, waits until its objects are healthy, and records the outcome. In staging and
// production a failed release is rolled back to the last healthy one. Apply returns the release that it
// recorded, also with an error. It takes the proposal over: its Observed are not whole any more.
func Apply(ctx context.Context, t Target, p Proposal, o Options) (release.Release, error) {
	if err := permit(ctx, t, p); err != nil {
		return release.Release{}, err
	}
	r := run{target: t, options: o, say: once(t, p.Unseen)}
	var err error
	if r.namespaceCreated, err = createNamespace(ctx, r, p); err != nil {
		return release.Release{}, err
	}
	r.lock, err = t.Records().Lock(ctx, release.Holder{Who: o.Who, Doing: p.Prepared.doing()}, p.Latest)
	if locked := (*release.LockedError)(nil); errors.As(err, &locked) {
		return release.Release{}, fmt.Errorf("%s is %w", t.Environment.Name, err)
	} else if err != nil {
		return release.Release{}, err
	}
	if r.lock.TookOver != nil {
		t.say(Lock, nil, "took over the lock of %s, which stopped renewing it", r.lock.TookOver)
	}
	rel, err := applyLocked(r.lock.Context(), r, p)
	if uerr := r.lock.Unlock(ctx); uerr != nil {
		t.warn(Lock, nil, "unlock: the lock stays until it expires: %v", uerr)
	}
	return rel, err
}

// createNamespace creates the namespace of locks and records when the source defines it and the cluster does
// not have it: the only change before the record.
func createNamespace(ctx context.Context, r run, p Proposal) (bool, error) {
	namespace := object.Ref{Kind: "Namespace", Name: r.target.Cluster.Namespace()}
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Create && c.Ref == namespace {
			done := applyBatch(ctx, r, []plan.Change{c}, p)[0]
			if done.err != nil {
				return false, done.err
			}
			return true, rollout.WaitServed(ctx, r.target.Cluster, done.object)
		}
	}
	return false, nil
}

func applyLocked(ctx context.Context, r run, p Proposal) (release.Release, error) {
	records := r.target.Records()
	records.Alike = p.Prepared.Set
	records.Unmoved = time.Since(p.unmoved) < r.options.Recent
	past, err := records.Past(ctx)
	if err != nil {
		return release.Release{}, err
	}
	if r.namespaceCreated || !p.holds(past, r.options.Recent) {
		if p, err = replan(ctx, r, p, past); err != nil {
			return release.Release{}, err
		}
	}
	rel, err := carryOut(ctx, r, p, past)
	environment := r.target.Environment
	if !isBroken(rel, err) {
		if err != nil && rel.Status != release.Pending {
			err = fmt.Errorf("release %d of %s: %w", rel.Revision, environment.Name, err)
		}
		return rel, err
	}
	bad := &FailedError{Environment: environment.Name, Release: rel, Cause: err}
	if environment.Class != project.Local && !r.options.NoRollback {
		bad.RolledBack, bad.RollbackErr = rollBack(ctx, r, past.Then(rel), p.force)
	}
	return rel, bad
}

// isBroken says that a release changed objects and did not become healthy. An interrupt does not count, nor
// do old objects that are not deleted.
func isBroken(rel release.Release, err error) bool {
	var (
		sick *rollout.NotHealthyError
		left *leftoverError
	)
	if rel.Status != release.Failed || errors.As(err, &left) {
		return false
	}
	return errors.As(err, &sick) || len(rel.Applied) > 0
}

// permit fails before anything is written.
func permit(ctx context.Context, t Target, p Proposal) error {
	if err := p.Blocked(); err != nil {
		return err
	}
	if err := p.Prepared.Direction.refusal(); err != nil {
		return err
	}
	var untried []plan.Change
	for _, c := range p.Plan.Changes {
		seen, ok := p.seen(c.Ref)
		if isTried := ok && seen.Unverified == ""; !isTried || c.Action != plan.Create && c.Action != plan.Update {
			untried = append(untried, c)
		}
	}
	return cluster.Permit(ctx, t.Cluster, untried)
}

// forgetAnswers drops the server's answers to the dry runs: the plan is made, and they are as large as the
// objects themselves. Those of hooks stay, because they tell whether a run is the same.
func (p Proposal) forgetAnswers() {
	for _, c := range p.Plan.Changes {
		if i, ok := p.places[c.Ref]; ok && c.Action != plan.Run {
			p.Observed[i].Merged = object.Object{}
		}
	}
}

// carryOut records the start, acts, watches, and records the outcome, whatever it is.
func carryOut(ctx context.Context, r run, p Proposal, past release.Past) (release.Release, error) {
	t := r.target
	if err := r.mayWrite(ctx); err != nil {
		return release.Release{}, err
	}
	p.forgetAnswers()
	rel, err := t.Records().Begin(ctx, past, intent(t, p, r.options))
	if err != nil {
		return rel, fmt.Errorf("record a release of %s: %w", t.Environment.Name, err)
	}
	t.say(Record, nil, "recorded as release %d", rel.Revision)
	if f := rel.Found; f != nil {
		t.say(Record, nil, "release %d became healthy, but is not healthy any more: %s", f.Revision, f.Message)
	}
	err = act(r.guarded(ctx), r, p, &rel)
	if err != nil && ctx.Err() == nil && len(rel.Applied) > 0 && !errors.As(err, new(*leftoverError)) {
		runFailureHooks(ctx, r, p, &rel)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // the lock was lost, rather than "context canceled"
	}
	err = masked(err, p.Prepared.Set)
	rel.Status, rel.Failure = outcome(ctx, p, err)
	rel.Kept = append(rel.Kept, kept(p.Plan)...)
	rel.Irreversible = irreversible(p.Plan, rel.Applied)
	rel.Barriers = barriers(p, rel)
	if rel.Status == release.Healthy {
		noteNotRun(ctx, t, p, &rel)
	}
	rel.Evidence, rel.Ran = evidenceOf(ctx, t, p, err), ranBadly(ctx, t, rel, err)
	if rel.Status == release.Failed {
		t.emit(Event{Step: Failure, Message: fmt.Sprintf("release %d failed: %s", rel.Revision, rel.Failure),
			Evidence: rel.Evidence})
	}
	// An interrupted run records its outcome too, and a run that waits for an unreachable API server holds the
	// lock. When the lock is lost, the record tells whether another deploy has written it.
	rel, ferr := t.Records().Finish(context.WithoutCancel(ctx), rel)
	if ferr != nil {
		return rel, errors.Join(err, fmt.Errorf("record the outcome: %w", ferr))
	}
	return rel, err
}

// maskedError hides Secret values in the message of the wrapped error: a server may repeat them.
type maskedError struct {
	error
	text string
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.error }

func masked(err error, set object.Set) error {
	if err == nil {
		return nil
	}
	text := object.Mask(err.Error(), object.SecretValues(set))
	if text == err.Error() {
		return err
	}
	return &maskedError{err, text}
}

func intent(t Target, p Proposal, o Options) release.Release {
	return release.Release{
		Commit: p.Prepared.Commit, Tag: p.Prepared.Tag, Dirty: p.Prepared.Dirty, Who: o.Who, Message: o.Reason,
		Leader: o.Leader,
		Images: p.Prepared.Images, RollbackOf: p.Prepared.RollbackOf, Revert: p.Prepared.Revert,
		Objects: p.Prepared.Set, Adopted: adopted(p.Plan, p.Latest), Found: p.Found,
		Allowed: p.Prepared.Review.Allowed, Older: p.Prepared.Direction.Back != nil, Path: t.Source.Path,
		Repository: t.repository(),
		Owned:      p.Prepared.Added,
		Crossed:    p.Prepared.Crossed,
		Override:   p.Prepared.Override,
	}
}

func outcome(ctx context.Context, p Proposal, err error) (release.Status, string) {
	switch {
	case err == nil && p.Prepared.Delete:
		return release.Deleted, ""
	case err == nil:
		return release.Healthy, ""
	case ctx.Err() != nil:
		return stopped(ctx), context.Cause(ctx).Error()
	}
	return release.Failed, err.Error()
}

// kept returns the owned objects that left the source and are not deleted: they are protected, or held.
func kept(p plan.Plan) []object.Ref {
	var refs []object.Ref
	for _, c := range p.Changes {
		if c.Action == plan.Keep && c.Reason != "" {
			refs = append(refs, c.Ref)
		}
	}
	return refs
}
