package web

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/release"
)

// ConnectFunc returns an environment of a source with its cluster.
type ConnectFunc func(project.Source, project.Environment) (deploy.Target, error)

// connection is a target, and the project as it was when the connection was made.
type connection struct {
	project project.Project
	target  deploy.Target
}

// Remember returns a function that connects again only where the project has changed: a connection knows the
// kinds of its cluster, which takes many requests to learn.
func Remember(connect ConnectFunc) ConnectFunc {
	var mu sync.Mutex
	known := map[string]connection{}
	return func(src project.Source, env project.Environment) (deploy.Target, error) {
		key := src.Project.Name + "/" + env.Name
		mu.Lock()
		defer mu.Unlock()
		if c, ok := known[key]; ok && reflect.DeepEqual(c.project, src.Project) {
			c.target.Source = src
			return c.target, nil
		}
		t, err := connect(src, env)
		if err == nil {
			known[key] = connection{src.Project, t}
		}
		return t, err
	}
}

// connector connects the environments of one source.
func connector(src project.Source, connect ConnectFunc) func(project.Environment) (deploy.Target, error) {
	return func(env project.Environment) (deploy.Target, error) { return connect(src, env) }
}

// source returns the project that a request names.
func (s *Site) source(ctx context.Context, name string) (project.Source, error) {
	all, err := s.options.Sources(ctx)
	if err != nil && len(all) == 0 {
		return project.Source{}, err
	}
	for _, src := range all {
		if src.Project.Name == name {
			return src, nil
		}
	}
	return project.Source{}, fmt.Errorf("project %s: %w", name, errNoPage)
}

// target returns the environment that a request names.
func (s *Site) target(r *http.Request) (deploy.Target, error) {
	src, err := s.source(r.Context(), r.PathValue("project"))
	if err != nil {
		return deploy.Target{}, err
	}
	env, err := src.Project.Environment(r.PathValue("environment"))
	if err != nil {
		return deploy.Target{}, err
	}
	return s.options.Connect(src, env)
}

// ofTarget serves a page about the environment that a request names, to persons with a right in it. An error
// becomes the page of an error.
func (s *Site) ofTarget(
	needed right, serve func(http.ResponseWriter, *http.Request, deploy.Target) error,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := s.target(r)
		var may Rights
		if err == nil {
			may, err = s.demand(r.Context(), t, needed)
		}
		if err == nil {
			err = serve(w, r.WithContext(context.WithValue(r.Context(), rightsKey{}, may)), t)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

// pastOf reads the record of an environment, which the caller must not change.
func (s *Site) pastOf(ctx context.Context, t deploy.Target) (release.Past, error) {
	records := t.Records()
	records.Decoded = &s.records
	return records.Past(ctx)
}

// beganKey is when a page began to read the record.
type beganKey struct{}

// ofPast is ofTarget for a page that needs the record of the environment.
func (s *Site) ofPast(
	needed right, serve func(http.ResponseWriter, *http.Request, deploy.Target, release.Past) error,
) http.HandlerFunc {
	return s.ofTarget(needed, func(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
		began := time.Now()
		past, err := s.pastOf(r.Context(), t)
		if err != nil {
			return err
		}
		r = r.WithContext(context.WithValue(r.Context(), beganKey{}, began))
		return serve(w, r, t, past)
	})
}
