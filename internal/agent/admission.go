package agent

import (
	"context"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/release"
)

// admitTime is how long the ServiceAccount that the agent acts as is taken to be there.
const admitTime = time.Minute

// admission is the step that finds out whether this agent may act in the environment.
type admission struct {
	*state
	claim    release.Claim
	admitted time.Time // when the ServiceAccount was verified
}

// admit fails where this agent may not act in the environment: another agent keeps it, or the ServiceAccount
// to act as is not there.
func (a *admission) admit(ctx context.Context) (ends bool, err error) {
	if time.Since(a.admitted) > admitTime {
		if err = cluster.VerifyAccount(ctx, a.target.Cluster); err == nil {
			a.admitted = time.Now()
		}
	}
	if err == nil {
		err = a.claim.Hold(ctx, a.target.Records(), a.agent.leadership.leader())
	}
	if err != nil {
		a.judge(Refused, "this agent may not act in %s", a.name)
	}
	return false, err
}

// giveUp ends the claim on the environment where this agent runs alone.
func (a *admission) giveUp(ctx context.Context) {
	if a.target.Cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := a.claim.Release(ctx, a.target.Records(), a.agent.leadership.leader()); err != nil {
		a.log.Warn("the claim stays until it expires: " + err.Error())
	}
}
