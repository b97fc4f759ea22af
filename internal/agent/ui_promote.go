package agent

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/promote"
	"slipway/internal/release"
	"slipway/internal/render/tree"
	"slipway/internal/web"
)

var (
	// errNoPromotion says that the agent must not write promotions of people.
	errNoPromotion = errors.New("the agent may not write to Git for this environment: deploy without a " +
		"commit, or run `slipway promote`")
	// errCommits says that a promotion is to be a commit, and not a deploy.
	errCommits = errors.New("the agent writes to Git for this environment: promote by a commit")
)

// uiPromoter promotes for the people who use the web UI.
type uiPromoter struct {
	agent   *Agent
	commits *openCommits
}

// Offer implements web.Promoter. The agent reads, and the person's own approvals do not count.
func (u uiPromoter) Offer(ctx context.Context, t deploy.Target, from, _ string) (promote.Offer, error) {
	offer, _, _, err := u.draft(ctx, t, from)
	return offer, err
}

// draft composes a promotion on the commit that the environment has taken, with the person as co-author.
func (u uiPromoter) draft(ctx context.Context, t deploy.Target, from string) (
	promote.Offer, promote.Draft, promoter, error) {
	offer := promote.Offer{Environment: t.Environment.Name, From: from}
	var draft promote.Draft
	p, err := u.promoter(ctx, t)
	if err != nil {
		return offer, draft, p, err
	}
	if offer.Way = p.way(); offer.Way == Never {
		offer.Way = promote.Deploy
	}
	offer.Ways = []string{offer.Way}
	env, err := p.target.Source.Project.Environment(from)
	if err != nil {
		return offer, draft, p, err
	}
	if offer.Decision, err = promote.Decide(ctx, p.target, env, p.accessFor(t)); err != nil {
		return offer, draft, p, err
	}
	proof, shut := offer.Decision.Proof, offer.Decision.Err()
	if len(proof.Images) == 0 {
		return offer, draft, p, shut
	}
	a, err := p.promoteJob(ctx, p.agent.children, promote.Job{Pins: proof.Images})
	offer.Notes, offer.Current = a.Notes, err == nil && len(a.Files) == 0
	if err != nil || offer.Current {
		return offer, draft, p, errors.Join(shut, err)
	}
	if _, err := p.mirror.deepen(ctx); err != nil {
		return offer, draft, p, err
	}
	draft, err = promote.Compose(ctx, p.target, p.mirror.repository(), a, promote.Signature{
		By: author, Why: []string{proof.String()}, With: coAuthor(web.PersonOf(ctx).String()),
	})
	if err == nil {
		offer, err = offer.Drafted(draft, a)
	}
	if err = errors.Join(shut, err); err != nil {
		offer.ID = ""
	}
	return offer, draft, p, err
}

// override plans the deploy of what the commit of a promotion would deploy. The commit is on no branch.
func (u uiPromoter) override(ctx context.Context, t deploy.Target, from string) (deploy.Proposal, error) {
	offer, draft, p, err := u.draft(ctx, t, from)
	switch {
	case err != nil:
		return deploy.Proposal{}, err
	case offer.Way != promote.Deploy:
		return deploy.Proposal{}, errCommits
	case offer.ID == "":
		return deploy.Proposal{}, promote.ErrOtherOffer
	}
	src, files, err := p.mirror.at(ctx, draft.Commit)
	if err != nil {
		return deploy.Proposal{}, err
	}
	defer p.mirror.remote.give(files)
	t.Source.Project = src.Project // the commit, its tag and its history stay those of the branch
	t.Isolate = p.isolate(files, new([]tree.Read))
	proposal, err := deploy.Propose(ctx, t, deploy.ProposeOptions{})
	proposal.Prepared.Dirty = true
	proposal.Prepared.Override = &release.Override{From: from, Images: offer.Decision.Proof.Images}
	for _, i := range offer.Images {
		proposal.Prepared.Override.Before = append(proposal.Prepared.Override.Before, i.Before)
	}
	return proposal, err
}

// promoter promotes to an environment for a person: beside the goroutine that keeps it, at the commit that it
// has taken.
func (u uiPromoter) promoter(ctx context.Context, t deploy.Target) (promoter, error) {
	e, o, err := u.commits.find(ctx, t.Source.Project.Name, t.Environment.Name)
	if err != nil {
		return promoter{}, err
	}
	own, err := e.connect(o.source)
	if err != nil {
		return promoter{}, err
	}
	past, err := own.Records().Past(ctx)
	c := checkout{commit: o.files.commit, target: own, files: o.files}
	return promoter{e.reporter, c, past, &promotion{}}, err
}

// way is how the policy lets promotions of people into Git; Never: not at all.
func (p promoter) way() string {
	if p.policy.Promote != Never {
		return p.policy.Promote
	}
	return p.policy.WriteBack
}

// accessFor is how the gates are read for a person, whose target it is.
func (p promoter) accessFor(t deploy.Target) promote.Access {
	a := p.gateAccess()
	a.Itself = func() (deploy.Target, error) { return t, nil }
	return a
}

// Promote implements web.Promoter.
func (u uiPromoter) Promote(ctx context.Context, t deploy.Target, offered promote.Offer) (string, error) {
	now, draft, p, err := u.draft(ctx, t, offered.From)
	switch {
	case err != nil:
		return "", err
	case now.ID != offered.ID || now.ID == "":
		return "", promote.ErrOtherOffer
	}
	if now.Way == promote.Deploy {
		return "", errNoPromotion
	}
	if err := u.agent.leadership.fence(ctx); err != nil {
		return "", err
	}
	note, done, err := p.deliver(ctx, draft, offered.Way)
	if err == nil && !done {
		err = fmt.Errorf("%w on %s: the agent reads the newer commit first; read the promotion again",
			git.ErrMoved, p.mirror.Branch)
	}
	if err == nil {
		p.log.Info(note, "commit", p.commit, "who", web.PersonOf(ctx).String())
	}
	return note, err
}

// Approve implements web.Promoter: the record has the person's name as the API server knows it.
func (u uiPromoter) Approve(
	ctx context.Context, t deploy.Target, offered promote.Offer, reason string,
) error {
	p, err := u.promoter(ctx, t)
	if err != nil {
		return err
	}
	return promote.ApproveExactly(ctx, t, p.accessFor(t), offered.Decision, reason)
}

var _ web.Promoter = uiPromoter{}
