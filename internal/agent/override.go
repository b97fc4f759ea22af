package agent

import (
	"context"
	"slices"

	"slipway/internal/promote"
	"slipway/internal/release"
)

// awaitCommit says whether the environment waits for a commit of the images that a person has promoted
// without one, and judges it so: while Git states what it stated before, the agent must not take them back. A
// commit that states these images, or others, is deployed.
func (e *environment) awaitCommit(ctx context.Context) (bool, error) {
	latest := e.past.Latest
	if latest.Override == nil || latest.Status != release.Healthy {
		return false, nil
	}
	p := promoter{e.reporter, e.checkout, e.past, &e.promotion}
	a, err := p.promoteJob(ctx, promote.Job{Pins: latest.Override.Images})
	if err == nil && (len(a.Files) == 0 || !slices.Equal(a.Before, latest.Override.Before)) {
		return false, nil
	}
	e.judge(Waiting, "commit %s is not deployed: %s", short(e.commit), latest.OverrideText())
	e.looked = err == nil
	return true, err
}
