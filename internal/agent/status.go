package agent

import (
	"time"

	"slipway/internal/plan"
	"slipway/internal/promote"
	"slipway/internal/release"
)

// Status is how an environment stands, as the agent sees it.
type Status struct {
	Environment string `json:"environment"`
	Repository  string `json:"repository"`
	// Seen is the newest commit of the branch, Applied that of the release that runs.
	Seen    string  `json:"seen,omitempty"`
	Applied string  `json:"applied,omitempty"`
	Release int     `json:"release,omitempty"`
	Verdict Verdict `json:"verdict"`
	taken   string  // the commit that was read, and may be deployed
	judged  string  // the commit that Verdict is about, while Seen may be a newer one
	// SignedBy has signed the newest commit that may be deployed; empty: signatures are not required.
	SignedBy string `json:"signedBy,omitempty"`
	// SourceError is why the repository cannot be read; the environment keeps what it runs.
	SourceError      string    `json:"sourceError,omitempty"`
	SourceErrorSince time.Time `json:"sourceErrorSince,omitzero"`
	// Message is one sentence about the verdict.
	Message string `json:"message,omitempty"`
	// Promotion says what the agent promotes to the environment, or why it does not now.
	Promotion string `json:"promotion,omitempty"`
	// Gates are those of the environment, as they were looked at last.
	Gates []promote.Gate `json:"gates,omitempty"`
	// Publishing is why the verdict is not published at the forge; empty: it is, or it need not be.
	Publishing string `json:"publishing,omitempty"`
	// Drift counts what differs from the release in the cluster.
	Drift int `json:"drift"`
	// Polled says which kinds are read at each interval, as the user may not watch them.
	Polled []string `json:"polled,omitempty"`
	// Pauses keep the agent from changing the environment.
	Pauses release.Pauses `json:"pauses,omitempty"`
	// Clock says that the clocks of this machine and of the API server differ; empty: they agree.
	Clock string `json:"clock,omitempty"`
	// Error is what went wrong last, and has not gone right since.
	Error      string    `json:"error,omitempty"`
	ErrorSince time.Time `json:"errorSince,omitzero"`
	Checked    time.Time `json:"checked,omitzero"`
	// Next is when the environment is looked at again, if nothing happens before.
	Next time.Time `json:"next,omitzero"`
	// Leader is the replica of the agent that acts; empty: none is known yet.
	Leader string `json:"leader,omitempty"`
	// Plan is what deploying the commit would change, while it waits for a person.
	Plan *plan.Plan `json:"plan,omitempty"`
}

// Verdict is what the agent makes of the newest commit.
type Verdict string

// The verdicts.
const (
	Unknown     Verdict = "unknown"     // not looked at yet
	Synced      Verdict = "synced"      // the cluster runs it, and it is healthy
	Unproven    Verdict = "unproven"    // the cluster has its objects, healthy, and no pod runs its image
	Deploying   Verdict = "deploying"   // it is being applied
	Superseded  Verdict = "superseded"  // a newer commit ended its deploy before it was judged
	Waiting     Verdict = "waiting"     // for a person, a window, another environment, or an image
	Suspended   Verdict = "suspended"   // a person has suspended the agent
	Refused     Verdict = "refused"     // it cannot be deployed as it is
	Quarantined Verdict = "quarantined" // it was bad, and is held back
)
