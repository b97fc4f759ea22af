package deploy

import (
	"context"
	"errors"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/rollout"
	"slipway/internal/rollout/probe"
)

// probeRelease asks the project's own checks whether a release works whose objects are all healthy. A
// rollback is not asked: the checks are those of the source, and it restores another one. It fails with a
// *rollout.NotHealthyError that has the answers.
func probeRelease(ctx context.Context, r run, p Proposal) error {
	if p.Prepared.RollbackOf > 0 || p.Prepared.Delete {
		return nil
	}
	for _, v := range r.target.Environment.Verify {
		if v.Job != "" {
			continue // it ran as a hook
		}
		r.target.say(Verify, nil, "verifying %s", v.Title())
		err := probe.Run(ctx, v, func(ctx context.Context, service, path string) (probe.Answer, error) {
			status, body, err := cluster.ProxyGet(ctx, r.target.Cluster, service, path)
			return probe.Answer{Status: status, Body: body}, err
		})
		var failed *probe.FailedError
		switch {
		case errors.As(err, &failed):
			return notVerified(*failed, p)
		case err != nil:
			return err
		}
	}
	return nil
}

// notVerified is the evidence of a check that failed, without values of Secrets.
func notVerified(f probe.FailedError, p Proposal) error {
	secrets := object.SecretValues(p.Prepared.Set)
	e := rollout.Evidence{
		Ref:    object.Ref{Kind: "Verification", Name: object.Mask(f.Check.Title(), secrets)},
		Reason: "VerificationFailed",
		Cause:  object.Mask(f.Reason(), secrets),
	}
	for _, line := range f.Response {
		e.Response = append(e.Response, object.Mask(line, secrets))
	}
	return &rollout.NotHealthyError{Failures: []rollout.Evidence{e}}
}

// isLast says that a stage only deletes what left the source: everything else has been done.
func isLast(changes []plan.Change) bool {
	for _, c := range changes {
		if c.Action != plan.Delete || c.First {
			return false
		}
	}
	return true
}
