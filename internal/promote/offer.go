package promote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/image"
)

// The ways in which a promotion is delivered.
const (
	Push        = "push"         // a commit on the branch that is deployed
	PullRequest = "pull-request" // a pull request into it
	Deploy      = "deploy"       // a deploy without a commit, where the agent must not write to Git
)

// ErrOtherOffer says that a promotion is not the one that a person consented to.
var ErrOtherOffer = errors.New(
	"the promotion has changed since you read it: nothing was promoted. Read it again")

// Offer is a promotion that was planned, for a person to consent to.
type Offer struct {
	// ID changes with whatever would be committed, and with the way; empty: nothing can be consented to.
	ID                string
	Environment, From string
	// Way is one of Ways, which can be chosen.
	Way  string
	Ways []string
	// Decision is what the gates say. Without gates it has no Gates.
	Decision Decision
	Images   []OfferedImage
	Lines    []finding.Line
	Notes    []string
	// Current: the environment's files name these images already.
	Current bool
}

// OfferedImage is an image that changes, with the commits that it brings where they are known.
type OfferedImage struct {
	Before, After image.Pin
	Commits       []git.Commit
}

// Key identifies the images that are approved.
func (o Offer) Key() string { return imagesKey(o.Decision.Proof.Images) }

// Approves says that the gates want approvals of people.
func (o Offer) Approves() bool {
	return slices.ContainsFunc(o.Decision.Gates, func(g Gate) bool { return g.Name == "approvals" })
}

// fill puts the images and their edits into the offer, and identifies it.
func (o *Offer) fill(m message, base string, files map[string][]byte, lines []finding.Line) error {
	o.Lines = lines
	for _, c := range m.images {
		o.Images = append(o.Images, OfferedImage{c.before, c.after, c.commits})
	}
	text, err := json.Marshal([]any{o.Environment, o.From, o.Way, base, files, m.mark})
	sum := sha256.Sum256(text)
	o.ID = "sha256:" + hex.EncodeToString(sum[:])
	return err
}

// Drafted returns the offer of a draft, whose edits are an answer's.
func (o Offer) Drafted(d Draft, a Answer) (Offer, error) {
	err := o.fill(d.message, d.Base, a.Files, a.Lines)
	return o, err
}

// Clone promotes from the clone of a user, as the verb promote does.
type Clone struct {
	Connect deploy.ConnectOptions
	// Checks is Options.Checks.
	Checks func(repository string) (forge.Forge, error)
}

// errPlanned ends a promotion that was only to be planned.
var errPlanned = errors.New("planned")

// Offer returns what a promotion of the images that another environment runs would do, by a way. It writes
// nothing, and fails as Run does: where the gates are shut, the offer has what they would let through.
func (c Clone) Offer(ctx context.Context, t deploy.Target, from, way string) (Offer, error) {
	offer := Offer{Environment: t.Environment.Name, From: from, Way: way, Ways: []string{Push, PullRequest}}
	o := c.options(offer)
	o.Decided = func(d Decision) error {
		offer.Decision = d
		if len(d.Proof.Images) > 0 {
			return nil
		}
		return d.Err()
	}
	o.Consent = func(r Result) error { return errors.Join(errPlanned, offer.of(r)) }
	result, err := Run(ctx, t, o)
	offer.Notes, offer.Current = result.Notes, err == nil
	if err == nil || errors.Is(err, errPlanned) {
		err = offer.Decision.Err()
	}
	if err != nil {
		offer.ID = ""
	}
	return offer, err
}

// Promote does what an offer says, and says what it did. It fails with ErrOtherOffer where it would do
// something else now.
func (c Clone) Promote(ctx context.Context, t deploy.Target, offered Offer) (string, error) {
	o := c.options(offered)
	o.Consent = func(r Result) error {
		now := Offer{Environment: offered.Environment, From: offered.From, Way: offered.Way}
		if err := now.of(r); err != nil || now.ID == offered.ID {
			return err
		}
		return ErrOtherOffer
	}
	done, err := Run(ctx, t, o)
	switch {
	case err != nil:
		return "", err
	case done.PullRequest != "":
		return "the promotion is pull request " + done.PullRequest, nil
	}
	return fmt.Sprintf("pushed commit %s to %s", git.Short(done.Commit), done.Upstream), nil
}

// Approve records that the user consents to the images of an offer.
func (c Clone) Approve(ctx context.Context, t deploy.Target, offered Offer, reason string) error {
	o := c.Connect
	o.Context, o.Namespace = "", "" // they are of the environment that is approved for
	return ApproveExactly(ctx, t, Here(t, connectFrom(t, o)), offered.Decision, reason)
}

func (c Clone) options(is Offer) Options {
	o := Options{From: is.From, Proven: true, Push: true, Connect: c.Connect, Checks: c.Checks}
	if is.Way == PullRequest {
		o.Forge = c.Checks
	}
	return o
}

// of fills in what a promotion would commit.
func (o *Offer) of(r Result) error {
	return o.fill(r.message, r.base, r.Files, finding.LinesOf(r.Changes))
}
