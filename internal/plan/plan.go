// Package plan decides what a deploy would change, from the desired objects, the observed ones and those that
// the environment owns. It is pure: no I/O, no clock, no context.
package plan

import (
	"time"

	"slipway/internal/object"
)

// Action is what a deploy does to one object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Keep   Action = "keep"
	Delete Action = "delete"
	// Replace deletes an owned object that cannot be changed, and creates it again.
	Replace Action = "replace"
	// Run runs a hook: it is applied, and deleted as its annotations say.
	Run Action = "run"
	// Skip leaves out a hook that does not run this time.
	Skip Action = "skip"
	// Blocked: the API server would refuse it, or it could not be read.
	Blocked Action = "blocked"
)

// Observed is one object as the cluster has it.
type Observed struct {
	Ref object.Ref
	// Live is the object in the cluster; its Body is nil when it does not exist.
	Live object.Object
	// Desired is the object to apply, with the live replicas where an autoscaler scales it. Its Body is nil for
	// an object that is only to be deleted.
	Desired object.Object
	// Merged is the result of the apply in a dry run. Where no dry run was possible it is the desired object,
	// and Unverified says why.
	Merged     object.Object
	Unverified string
	// Fingerprint identifies the live object and what is applied to it, without its status: it changes with
	// anything that may change the result.
	Fingerprint string
	// Settled: a release has recorded that the object is as its source wants it, and nothing has changed since.
	Settled bool
	// Holders are the field managers of the live object.
	Holders []Holder
	// Mutators are the webhooks and policies that may have changed fields of Merged. Unlisted is why not all
	// could be listed.
	Mutators []string
	Unlisted string
	// Claimed are the field managers of tools whose fields become ours.
	Claimed []string
	// Rewritten is why the server would refuse the apply alone: a patch makes Merged of Live before it. Empty
	// where none is needed.
	Rewritten string
	// Injected are the controllers whose certificate stays, whatever the source has in its place.
	Injected []string
	// Stays are fields that left the source, and that the server keeps.
	Stays []Field
	// Unclaimed names the tools whose fields the server does not let go, and why.
	Unclaimed string
	// Adopting: no release of the environment made the object. Fields of other tools that the source does not
	// set stay, so that a rollback of this release finds the object as it was.
	Adopting bool
	// Stay are the fields of other tools that stay therefore.
	Stay []string
	// Fixed: the server refuses to change the live object, and would accept Merged as a new one.
	Fixed bool
	// Why names the fields that cannot be changed, where it is Fixed.
	Why string
	// Refused: Err is the server's refusal of a change, such as that of an immutable field.
	Refused bool
	// Err is why the object could not be read, or would be refused.
	Err error
}

// Holder is a field manager of a live object.
type Holder struct {
	Manager string `json:"manager"`
	// Operation is Apply or Update; Subresource is set when it wrote through one, such as "scale".
	Operation   string    `json:"operation"`
	Subresource string    `json:"subresource,omitempty"`
	Time        time.Time `json:"time,omitzero"`
	// Tool: it applies manifests, or people edit objects with it. Any other is a controller or a webhook.
	Tool bool `json:"-"`
	// Ours: it is the manager of our applies.
	Ours bool `json:"-"`
	// Fields are the paths that it holds.
	Fields []string `json:"-"`
}

// Field is one difference within an object. Secret values are masked.
type Field = object.Field

// Change is what a deploy would do to one object, and why.
type Change struct {
	Ref    object.Ref `json:"ref"`
	Action Action     `json:"action"`
	Fields []Field    `json:"fields,omitempty"`
	// Lost are the fields that the server would not give the value of the source, which is Before.
	Lost []Field `json:"lost,omitempty"`
	// Mutators are the webhooks and policies that may have changed those fields: the server does not say which.
	Mutators []string `json:"mutators,omitempty"`
	// Unlisted is why not all webhooks and policies could be listed.
	Unlisted string `json:"unlisted,omitempty"`
	// Irreversible says why a rollback could not undo the change.
	Irreversible string `json:"irreversible,omitempty"`
	// First: it is deleted before the others, because it would keep a new object from starting.
	First bool `json:"first,omitempty"`
	// Stage is the number of its stage in the plan, from 1.
	Stage int `json:"stage"`
	// Reason explains the action where it is not obvious: "no longer in the source", or the refusal of the
	// server.
	Reason string `json:"reason,omitempty"`

	// step orders the changes of a stage, lowest first.
	step int
}

// Plan is what a deploy would do to one environment. Equal inputs make byte-equal plans.
type Plan struct {
	Environment string `json:"environment"`
	Commit      string `json:"commit,omitempty"`
	// Digest names the desired set; Base names the set of the release that the plan starts from.
	Digest string `json:"digest"`
	Base   string `json:"base,omitempty"`
	// Stages are what a deploy does one after the other.
	Stages  []Stage  `json:"stages"`
	Changes []Change `json:"changes"`
	// Complete: every object was read and verified by the API server.
	Complete bool `json:"complete"`
}
