package promote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
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

// checkApprovals fails with a *shutError unless enough people have approved the images of a proof, other than
// the user who promotes them, and notes these in the decision. The record of t has the approvals.
func (a Access) checkApprovals(ctx context.Context, t deploy.Target, d *Decision) (err error) {
	p := d.Proof
	must := t.Environment.Gates.Approvals
	if a.Itself != nil {
		if t, err = a.Itself(); err != nil {
			return err
		}
	}
	all, err := t.Records().Approvals(ctx)
	if err != nil {
		return err
	}
	isOther := func(a release.Approval) bool { return a.Images != imagesKey(p.Images) }
	d.Approvals = slices.DeleteFunc(all, isOther)
	self := ""
	if !a.Looks {
		self = cluster.Username(ctx, t.Cluster)
		if d.Approver = self; self == "" {
			return shut(p.Since, "the API server does not say who promotes, so approvals by others cannot be counted")
		}
	}
	var by []string
	own := ""
	for _, a := range d.Approvals {
		switch {
		case self != "" && a.Who == self:
			own = ", beside that of " + self + ", who promotes"
		default:
			by = append(by, a.Who)
		}
	}
	if len(by) < must {
		return shut(p.Since, "%s has %d of %d approvals%s: `slipway approve %s` gives one", p.subject(), len(by),
			must, own, t.Environment.Name)
	}
	return nil
}

// Approve records that the user consents to the promotion of what is healthy in the environment of the gates
// now. It fails with a *GateError where that would not be promoted.
func Approve(ctx context.Context, t deploy.Target, o deploy.ConnectOptions, reason string) (
	release.Approval, Proof, error) {
	o.Context, o.Namespace = "", "" // they are of the environment that is approved for
	return approveBy(ctx, t, Here(t, connectFrom(t, o)), "", reason)
}

// ApproveExactly is Approve for images that a person has seen: the decision's. It fails with an ErrOtherOffer
// where the environment runs others now, and where the person has
// approved them: each person counts once.
func ApproveExactly(ctx context.Context, t deploy.Target, a Access, d Decision, reason string) error {
	who := cluster.Username(ctx, t.Cluster)
	for _, given := range d.Approvals {
		if given.Who == who {
			return fmt.Errorf("approve %s: %s has approved these images on %s, and counts once: another person "+
				"must approve", t.Environment.Name, who, given.Time.Format("Jan 2 at 15:04 MST"))
		}
	}
	_, _, err := approveBy(ctx, t, a, imagesKey(d.Proof.Images), reason)
	return err
}

// approveBy is Approve with an access, for images of a key; empty: for whichever they are.
func approveBy(ctx context.Context, t deploy.Target, access Access, key, reason string) (
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
	notes := &lazyNotes{open: access.Notes}
	defer notes.close()
	p, err := access.prove(ctx, t, from, *g, notes) // the time and the windows may still run
	var s *shutError
	if errors.As(err, &s) {
		err = &GateError{t.Environment.Name, g.From, s.why}
	}
	if err == nil && key != "" && key != imagesKey(p.Images) {
		err = ErrOtherOffer
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
