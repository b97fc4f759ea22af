package deploy

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
	"slipway/internal/rollout"
)

// Job is the part of a proposal that reads what others have written: manifests, charts, templates and rules.
// Work does it, in whichever process; it has no access to a cluster. The shape is JSON between processes.
type Job struct {
	Source      project.Source      `json:"source"`
	Environment project.Environment `json:"environment"`
	Render      render.Options      `json:"render"`
	Allow       Allow               `json:"allow"`
	Ordered     bool                `json:"ordered,omitempty"`
	// Blame asks for the places of these fields instead.
	Blame []rollout.Evidence `json:"blame,omitempty"`
}

// Answer is the result of a Job. With an Error it has Events and Touched alone.
type Answer struct {
	Objects   []object.Object   `json:"objects,omitempty"`
	Concealed []string          `json:"concealed,omitempty"`
	Unstable  []render.Unstable `json:"unstable,omitempty"`
	Others    []OtherObjects    `json:"others,omitempty"`
	Review    Review            `json:"review"`
	// Refused: Review has errors that keep the objects out of production.
	Refused bool             `json:"refused,omitempty"`
	Places  []*object.Origin `json:"places,omitempty"`
	Events  []Event          `json:"events,omitempty"`
	// Touched is everything below the project's directory that was looked at.
	Touched []tree.Read `json:"touched,omitempty"`
	Error   string      `json:"error,omitempty"`
}

// OtherObjects are those of another environment of the project, by its index.
type OtherObjects struct {
	Environment int             `json:"environment"`
	Objects     []object.Object `json:"objects"`
}

// LookupFunc reads an object from the cluster for a chart's template; nil when there is none.
type LookupFunc = func(apiVersion, kind, namespace, name string) (map[string]any, error)

// Work does a job. The error is part of the answer.
func Work(ctx context.Context, job Job, lookup LookupFunc) Answer {
	var a Answer
	t := Target{Source: job.Source, Environment: job.Environment, Render: job.Render, lookup: lookup}
	t.Notify = func(e Event) { a.Events = append(a.Events, e) }
	var renderer *render.Renderer
	t.opened = func(r *render.Renderer) { renderer = r }
	if len(job.Blame) > 0 {
		a.Places = findPlaces(ctx, t, job.Blame)
		return a
	}
	r, reviewed, err := renderReviewed(ctx, t, ProposeOptions{
		PrepareOptions: PrepareOptions{ordered: job.Ordered}, Permits: Permits{Allow: job.Allow},
	})
	var others []other
	if err == nil && len(t.Source.Project.Images) > 0 {
		others, err = renderOthers(ctx, t, r.renderer)
	}
	if renderer != nil {
		a.Touched = append(renderer.Touched(), filesOf(job)...)
	}
	var refused *CheckError
	switch {
	case errors.As(err, &refused):
		a.Review, a.Refused = refused.Review, true
		return a
	case err != nil:
		a.Error = err.Error()
		return a
	}
	defer r.close()
	a.Objects, a.Concealed = r.result.Set.Objects(), r.result.Set.Concealed()
	a.Unstable, a.Review = r.result.Unstable, reviewed
	for i, env := range t.Source.Project.Environments {
		for _, o := range others {
			if o.environment.Name == env.Name {
				a.Others = append(a.Others, OtherObjects{i, o.set.Objects()})
			}
		}
	}
	return a
}

// filesOf are the files that a job needs beside those that the renderer reads.
func filesOf(job Job) []tree.Read {
	var files []tree.Read
	add := func(name string) {
		if name != "" {
			files = append(files, tree.Read{Kind: tree.File, Path: name})
		}
	}
	add(job.Source.Project.File)
	for _, name := range job.Source.Project.Rules {
		add(name)
	}
	for _, s := range job.Environment.Signatures {
		add(s.Key)
		add(s.TrustedRoot)
	}
	for _, name := range job.Environment.Paths {
		add(name)
	}
	for _, c := range job.Environment.Charts {
		if c.Repository == "" {
			add(c.Path)
		}
	}
	return files
}

// renderIsolated is renderReviewed by way of Target.Isolate.
func renderIsolated(ctx context.Context, t Target, o ProposeOptions) (rendering, Review, error) {
	env := t.Environment
	unreachable := capabilities(ctx, t, &env)
	if _, ok := errors.AsType[*cluster.UnreachableError](unreachable); unreachable != nil && !ok {
		return rendering{}, Review{}, unreachable
	}
	if unreachable == nil {
		env.Namespace = t.Cluster.Namespace()
	}
	job := Job{Source: t.Source, Environment: env, Render: t.Render, Allow: o.Allow, Ordered: o.ordered}
	a, err := t.Isolate(ctx, job, func(apiVersion, kind, namespace, name string) (map[string]any, error) {
		return cluster.Lookup(ctx, t.Cluster, apiVersion, kind, namespace, name)
	})
	if err != nil {
		return rendering{}, Review{}, &render.Error{Environment: env.Name, Err: err}
	}
	for _, e := range a.Events {
		if t.Notify != nil {
			t.Notify(e)
		}
	}
	switch {
	case a.Error != "":
		return rendering{}, Review{}, errors.New(a.Error)
	case a.Refused:
		return rendering{}, a.Review, &CheckError{Environment: env.Name, Review: a.Review}
	case unreachable != nil:
		return rendering{}, a.Review, unreachable
	}
	r := rendering{env: env, result: render.Result{Unstable: a.Unstable}}
	var pool object.Pool
	if r.result.Set, err = setOf(&pool, a.Objects); err != nil {
		return rendering{}, Review{}, &render.Error{Environment: env.Name, Err: err}
	}
	r.result.Set.Conceal(a.Concealed)
	for _, o := range a.Others {
		set, err := setOf(&pool, o.Objects)
		if err != nil || o.Environment < 0 || o.Environment >= len(t.Source.Project.Environments) {
			return rendering{}, Review{}, &render.Error{Environment: env.Name,
				Err: fmt.Errorf("environment %d: %w", o.Environment, err)}
		}
		r.others = append(r.others, other{t.Source.Project.Environments[o.Environment], set})
	}
	return r, a.Review, nil
}

// setOf takes the objects over. Those of one pool share their equal parts.
func setOf(pool *object.Pool, objects []object.Object) (object.Set, error) {
	var set object.Set
	for _, o := range objects {
		if err := set.Add(pool.Fold(o)); err != nil {
			return object.Set{}, err
		}
	}
	return set, nil
}
