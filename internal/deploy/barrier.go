package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// barrierAnnotation marks an object after which a rollback needs consent, such as the Job of a
// migration. Its value says why.
const barrierAnnotation = "slipway.dev/barrier"

// BarrierError says that a rollback would go back behind a release that marked a barrier.
type BarrierError struct {
	Environment string
	// Release has the barrier, To is the release to go back to.
	Release, To int
	Barriers    []string
}

func (e *BarrierError) Error() string {
	return fmt.Sprintf("roll %s back to release %d: release %d is a barrier: %s", e.Environment, e.To, e.Release,
		strings.Join(e.Barriers, "; "))
}

// barriers are reasons not to go back behind a release, once it has applied some objects: its marked objects,
// and definitions that it deleted with all their objects.
func barriers(p Proposal, rel release.Release) []string {
	var all []string
	for _, o := range p.Prepared.Set.Objects() {
		ref := o.Ref()
		reason, marked := o.Annotations()[barrierAnnotation].(string)
		if marked && (rel.Status == release.Healthy || slices.Contains(rel.Applied, ref)) {
			all = append(all, fmt.Sprintf("%s: %s", ref, reason))
		}
	}
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Delete && isDefinition(c.Ref) && slices.Contains(rel.Applied, c.Ref) {
			all = append(all, fmt.Sprintf("%s was deleted, with all its objects", c.Ref))
		}
	}
	return all
}

func isDefinition(ref object.Ref) bool { return ref.Kind == "CustomResourceDefinition" }

// barrierBetween returns a *BarrierError where a release after the one to go back to marked a barrier which
// that one does not have; nil where there is none, or where it was crossed since.
func barrierBetween(past release.Past, to int) *BarrierError {
	i := slices.IndexFunc(past.Releases, func(r release.Release) bool { return r.Revision == to })
	if i < 0 {
		return nil
	}
	target := past.Releases[i]
	for _, r := range past.Releases[:i] {
		lacks := slices.DeleteFunc(slices.Clone(r.Barriers), func(b string) bool {
			return slices.Contains(target.Barriers, b)
		})
		if len(lacks) > 0 {
			return &BarrierError{Environment: r.Environment, Release: r.Revision, To: to, Barriers: lacks}
		}
		if len(r.Crossed) > 0 || r.Status == release.Deleted {
			return nil // it runs without the earlier barriers
		}
	}
	return nil
}

// Barrier returns a *BarrierError where going back to a release would cross a barrier; else nil. It reads the
// record.
func Barrier(ctx context.Context, t Target, to int) error {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return err
	}
	if b := barrierBetween(past, to); b != nil {
		return b
	}
	return nil
}
