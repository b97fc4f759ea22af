// Package plan decides what a deploy would change, from what is wanted, what is there and what
// is ours. It is pure: no I/O, no clock, no context.
package plan

import "slipway/internal/object"

// Action is what would happen to one object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Keep   Action = "keep"
	Delete Action = "delete"
	// Replace deletes an object of ours that cannot be changed, and makes it anew.
	Replace Action = "replace"
	// Blocked: the API server would refuse it, or what it is could not be read.
	Blocked Action = "blocked"
)

// Observed is one object as the cluster shows it.
type Observed struct {
	Ref object.Ref
	// Live is the object as it is; its Body is nil when there is none.
	Live object.Object
	// Desired is what is to be applied: the object of the set, with replicas left as they are where
	// an autoscaler has them. Its Body is nil for an object that is only to be deleted.
	Desired object.Object
	// Merged is what the API server says that applying would give (server-side dry-run). Where
	// the server could not be asked yet it is the desired object and Unverified says why.
	Merged     object.Object
	Unverified string
	// Fixed: the server refuses to change the live object, and would take Merged in its place.
	Fixed bool
	// Err is why the object could not be read, or would be refused.
	Err error
}

// Field is one difference within an object. Secret values are masked before they come here.
type Field = object.Field

// Change is what would happen to one object, and why.
type Change struct {
	Ref    object.Ref `json:"ref"`
	Action Action     `json:"action"`
	Fields []Field    `json:"fields,omitempty"`
	// Stage orders the acts: lower first. Deletes come after everything else.
	Stage int `json:"stage"`
	// Reason says why where the action alone does not: "no longer in the source", the server's refusal.
	Reason string `json:"reason,omitempty"`
}

// Plan is what a deploy would do to one environment. Equal inputs make byte-equal plans.
type Plan struct {
	Environment string `json:"environment"`
	Commit      string `json:"commit,omitempty"`
	// Digest names the desired set; Base names the set of the release that the plan starts from.
	Digest  string   `json:"digest"`
	Base    string   `json:"base,omitempty"`
	Changes []Change `json:"changes"`
	// Complete: every object could be read and verified by the API server.
	Complete bool `json:"complete"`
}
