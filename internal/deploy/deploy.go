// Package deploy is the path from a source to a healthy release: prepare, plan, apply. The CLI and
// the agent differ in where the source comes from, who consents and who listens; the rest is here.
// Only Apply writes to a cluster.
package deploy

import (
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/rollout"
)

// Target is one environment of one source, and the cluster that it lives in.
type Target struct {
	Source      project.Source
	Environment project.Environment
	Cluster     *cluster.Cluster
	// Render is what rendering needs to know beyond the project.
	Render render.Options
	// Registries is the client of the run; nil: each call makes its own.
	Registries *image.Client
	// Mirror is the registry that stands for all others, where the cluster is a sandbox.
	Mirror string
	// Notify hears what happens. Nil: nobody listens.
	Notify func(Event)
}

// Step is a part of the path.
type Step string

// The steps, in the order in which a deploy takes them.
const (
	Rendering Step = "render"
	Image     Step = "image"
	Lock      Step = "lock"
	Record    Step = "record"
	Act       Step = "apply"
	Watch     Step = "watch"
	Prune     Step = "delete"
	Failure   Step = "failure"
	Rollback  Step = "rollback"
)

// Event is one thing that happened on the way.
type Event struct {
	Step    Step        `json:"step"`
	Ref     *object.Ref `json:"ref,omitempty"`
	Message string      `json:"message"`
	// Evidence is why a release failed, where the step is Failure.
	Evidence []rollout.Evidence `json:"evidence,omitempty"`
	Time     time.Time          `json:"time"`
}

func (t Target) say(step Step, ref *object.Ref, format string, args ...any) {
	if t.Notify != nil {
		t.Notify(Event{Step: step, Ref: ref, Message: fmt.Sprintf(format, args...), Time: time.Now().UTC()})
	}
}

// Records are the environment's releases.
func (t Target) Records() release.Store {
	return release.Store{Cluster: t.Cluster, Project: t.Source.Project.Name, Environment: t.Environment.Name}
}
