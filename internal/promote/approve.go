package promote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/release"
)

// imagesKey identifies the digests of some images.
func imagesKey(pins []image.Pin) string {
	var lines []string
	for _, pin := range pins {
		lines = append(lines, pin.Name+"@"+pin.Digest)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:16])
}

// CheckApprovals fails with a *GateError unless enough people have approved the images of a proof, other than
// the user who promotes them. The record of t has the approvals.
func CheckApprovals(ctx context.Context, t deploy.Target, p Proof) error {
	g := t.Environment.Gates
	if g == nil || g.Approvals == 0 {
		return nil
	}
	shut := func(format string, args ...any) error {
		return &GateError{t.Environment.Name, g.From, fmt.Sprintf(format, args...)}
	}
	all, err := t.Records().Approvals(ctx)
	if err != nil {
		return shut("its approvals cannot be read: %v", err)
	}
	self := cluster.Username(ctx, t.Cluster)
	if self == "" {
		return shut("the API server does not say who promotes, and so not who else has approved")
	}
	var by []string
	own := ""
	for _, a := range all {
		switch {
		case a.Images != imagesKey(p.Images):
		case a.Who == self:
			own = ", beside that of " + self + ", who promotes"
		default:
			by = append(by, a.Who)
		}
	}
	if len(by) < g.Approvals {
		return shut("release %d of %s has %d of %d approvals%s: `slipway approve %s` gives one", p.Release.Revision,
			g.From, len(by), g.Approvals, own, t.Environment.Name)
	}
	return nil
}

// Approve records that the user consents to the promotion of what is healthy in the environment of the gates
// now. It fails with a *GateError where that would not be promoted.
func Approve(ctx context.Context, t deploy.Target, o deploy.ConnectOptions, reason string) (
	release.Approval, Proof, error) {
	var none release.Approval
	g := t.Environment.Gates
	if g == nil || g.Approvals == 0 {
		return none, Proof{}, &NoApprovalsError{t.Environment.Name}
	}
	from, err := t.Source.Project.Environment(g.From)
	if err != nil {
		return none, Proof{}, err
	}
	var p Proof
	if g.Verdict == "" {
		o.Context, o.Namespace = "", "" // they are of the environment that is approved for
		p, err = prove(ctx, withoutTime(t), from, Options{Connect: o})
	} else {
		p, err = proveHere(ctx, withoutTime(t))
	}
	if err != nil {
		return none, Proof{}, err
	}
	a, err := t.Records().Approve(ctx, imagesKey(p.Images), reason)
	return a, p, err
}

// NoApprovalsError says that an environment asks for no approval.
type NoApprovalsError struct{ Environment string }

func (e *NoApprovalsError) Error() string {
	return fmt.Sprintf("approve %s: its gates ask for no approval", e.Environment)
}

// withoutTime is the target with gates that are not about time: a person may approve before they open.
func withoutTime(t deploy.Target) deploy.Target {
	g := *t.Environment.Gates
	g.Healthy = 0
	t.Environment.Gates = &g
	return t
}

// proveHere is ProveByVerdict in the repository of the user.
func proveHere(ctx context.Context, t deploy.Target) (Proof, error) {
	r, err := git.Open(ctx, t.Source.Project.Dir)
	if err != nil {
		return Proof{}, err
	}
	up, err := r.Upstream(ctx)
	if err != nil {
		return Proof{}, err
	}
	if t.Source.Commit, err = r.Fetch(ctx, up); err != nil {
		return Proof{}, err
	}
	return ProveByVerdict(ctx, t, r, up.Remote)
}
