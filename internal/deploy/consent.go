package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"slipway/internal/release"
)

// ID identifies what a proposal would do, and to which objects: a person consents to it, and another proposal
// with the same ID does exactly that. It contains no value of a Secret.
func (p Proposal) ID() string {
	plan := p.Plan
	plan.Commit = "" // two commits with the same content make the same plan
	text, err := json.Marshal(struct {
		Plan     any
		Objects  map[string]string
		Release  int
		Rollback int
	}{plan, p.namedUIDs(), p.Latest.Revision, p.Prepared.RollbackOf})
	if err != nil {
		return ""
	}
	return digestOf(text)
}

func (p Proposal) namedUIDs() map[string]string {
	names := make(map[string]string, len(p.uids))
	for ref, uid := range p.uids {
		names[ref.Group+" "+ref.String()] = uid
	}
	return names
}

// Outcome is what became of a proposal.
type Outcome struct {
	// Release is the one that Apply recorded, or the newest one where nothing was to be changed.
	Release release.Release
	// RolledBack is the release that replaced a failed one; nil when there is none.
	RolledBack *release.Release
	// Applied: consent was given, and Apply was called.
	Applied bool
	// Took is how long Apply took.
	Took time.Duration
}

// WithConsent carries out a proposal. Where the cluster and the record are as planned, it judges their
// health; else it fails where the plan is blocked, asks for consent, and applies. It returns what it did,
// also with an error.
func WithConsent(
	ctx context.Context, t Target, p Proposal, o Options, consent func() error,
) (Outcome, error) {
	if p.Done() {
		return Outcome{Release: p.Latest}, Settle(ctx, t, p, o)
	}
	if err := p.Blocked(); err != nil {
		return Outcome{}, err
	}
	if err := consent(); err != nil {
		return Outcome{}, err
	}
	started := time.Now()
	rel, err := Apply(ctx, t, p, o)
	done := Outcome{Release: rel, Applied: true, Took: time.Since(started)}
	if failed, ok := errors.AsType[*FailedError](err); ok {
		done.Release, done.RolledBack = failed.Release, failed.RolledBack
	}
	return done, err
}
