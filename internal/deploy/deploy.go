// Package deploy is the path from a source to a healthy release: prepare, plan, apply. The CLI and an agent
// differ in the source, the consent and the listener; the rest is here. Only Apply writes to a cluster.
package deploy

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/rollout"
)

// Target is one environment of a source, and its cluster.
type Target struct {
	Source      project.Source
	Environment project.Environment
	Cluster     *cluster.Cluster
	// Aside: the namespace is the user's, of a flag or of the kubeconfig, and not the project's: it may be that
	// of a preview, or of one developer among others.
	Aside bool
	// Render are the options of rendering.
	Render render.Options
	// Judge decides on the health of objects.
	Judge rollout.Judge
	// Registries is the client of the run; nil: each call makes its own.
	Registries *image.Client
	// Mirror is the registry that stands for all others, where the cluster is a sandbox.
	Mirror string
	// Notify is called with each event. It may be nil.
	Notify func(Event)
	// Isolate does a Job elsewhere, as in a process with limits; nil: in this process.
	Isolate func(context.Context, Job, LookupFunc) (Answer, error)

	// Of a Job: what answers for the cluster, and a call with the renderer.
	lookup LookupFunc
	opened func(*render.Renderer)
}

// Step is a part of the path.
type Step string

// The steps, in the order of a deploy.
const (
	Rendering Step = "render"
	Image     Step = "image"
	Lock      Step = "lock"
	Record    Step = "record"
	Act       Step = "apply"
	Watch     Step = "watch"
	Verify    Step = "verify"
	Prune     Step = "delete"
	Failure   Step = "failure"
	Rollback  Step = "rollback"
)

// Event is one thing that happened during a deploy.
type Event struct {
	Step    Step        `json:"step"`
	Ref     *object.Ref `json:"ref,omitempty"`
	Message string      `json:"message"`
	Current bool        `json:"-"` // the object is healthy
	// Done is what was done to the object; empty: the event is about something else.
	Done plan.Action `json:"-"`
	// Warning: people are to read it even where they want no progress.
	Warning bool `json:"-"`
	// Evidence says why a release failed; set when the step is Failure.
	Evidence []rollout.Evidence `json:"evidence,omitempty"`
	Time     time.Time          `json:"time"`
}

func (t Target) say(step Step, ref *object.Ref, format string, args ...any) {
	t.emit(Event{Step: step, Ref: ref, Message: fmt.Sprintf(format, args...)})
}

func (t Target) warn(step Step, ref *object.Ref, format string, args ...any) {
	t.emit(Event{Step: step, Ref: ref, Message: fmt.Sprintf("warning: "+format, args...), Warning: true})
}

// sayDone says what was done to an object: "created".
func (t Target) sayDone(step Step, ref object.Ref, action plan.Action) {
	t.emit(Event{Step: step, Ref: &ref, Message: string(action) + "d", Done: action})
}

func (t Target) emit(e Event) {
	if t.Notify != nil {
		e.Time = time.Now().UTC()
		t.Notify(e)
	}
}

// history opens the repository that the source is of.
func (t Target) history(ctx context.Context) (git.Repository, error) {
	return git.Open(ctx, cmp.Or(t.Source.Repository, t.Source.Project.Dir))
}

// Records returns the store of the environment's releases.
func (t Target) Records() release.Store {
	return release.Store{Cluster: t.Cluster, Project: t.Source.Project.Name, Environment: t.Environment.Name,
		Aside: t.Aside, IsFormer: t.isFormer}
}
