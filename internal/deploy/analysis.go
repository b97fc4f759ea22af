package deploy

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// A rollback skips the analysis of a progressive delivery: what it restores was healthy before, and users
// wait for it.

// observeTime is how long Argo Rollouts may take to note the restored template. It forgets what was asked of
// the template before.
const observeTime = 15 * time.Second

func isRollout(ref object.Ref) bool { return ref.IsProgressive() && ref.Kind == "Rollout" }

// withoutAnalysis returns the objects of a rollback with Canaries that skip their analysis. The next deploy
// of the source takes that back.
func withoutAnalysis(set object.Set) (object.Set, error) {
	return set.Map(func(o object.Object) (object.Object, error) {
		if ref := o.Ref(); !ref.IsProgressive() || ref.Kind != "Canary" || o.At("spec", "skipAnalysis") == true {
			return o, nil
		}
		o = o.Clone()
		if spec := object.Mapping(o.Body["spec"]); spec != nil {
			spec["skipAnalysis"] = true
		}
		return o, nil
	})
}

// skipsAnalysis says that a plan restores Rollouts, whose analysis and pauses are then skipped.
func (p Proposal) skipsAnalysis(c plan.Change) bool {
	return p.Prepared.RollbackOf > 0 && !p.Prepared.Revert && c.Action == plan.Update && isRollout(c.Ref)
}

// analysisLines are the remarks about that.
func analysisLines(p Proposal) []string {
	var lines []string
	for _, c := range p.Plan.Changes {
		if p.skipsAnalysis(c) {
			lines = append(lines, fmt.Sprintf("%s: the rollback skips its analysis and its pauses "+
				"(status.promoteFull)", c.Ref))
		}
	}
	return lines
}

// promoteRollouts has Argo Rollouts go to the restored templates at once, as `kubectl argo rollouts promote
// --full` does. Where that fails the rollback goes on, with the analysis.
func promoteRollouts(ctx context.Context, r run, p Proposal, changes []plan.Change) {
	for _, c := range changes {
		if !p.skipsAnalysis(c) {
			continue
		}
		if err := promoteRollout(ctx, r, c.Ref); err != nil {
			r.target.warn(Act, &c.Ref, "its analysis is not skipped: %v", err)
		}
	}
}

func promoteRollout(ctx context.Context, r run, ref object.Ref) error {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	tick := time.NewTicker(observeTime / 50)
	defer tick.Stop()
	for {
		live, _, err := r.target.Cluster.Get(ctx, ref)
		health := live.Health()
		switch {
		case err != nil && ctx.Err() == nil:
			return r.target.Cluster.Explain(ctx, "get", ref, err)
		case err != nil, health.Message == object.Unseen || health.Status == object.Unknown:
		case live.At("status", "currentPodHash") == live.At("status", "stableRS"):
			return nil // the old pods run still: the controller goes back to them by itself
		default:
			if err := r.mayWrite(ctx); err != nil {
				return err
			}
			r.target.say(Act, &ref, "its analysis and pauses are skipped")
			return r.target.Cluster.PatchStatus(ctx, ref, map[string]any{"promoteFull": true})
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its controller has not observed the change after %s", observeTime)
		case <-tick.C:
		}
	}
}
