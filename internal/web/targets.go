package web

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/release"
)

// targets are the connections of a site. Each knows the kinds of its cluster, which takes many requests to
// learn.
type targets struct {
	mu  sync.Mutex
	all map[string]connection
}

type connection struct {
	project project.Project // as it was when the connection was made
	target  deploy.Target
}

// connect returns the target of an environment, for this state of the source.
func (s *Site) connect(src project.Source, env project.Environment) (deploy.Target, error) {
	key := src.Project.Name + "/" + env.Name
	s.targets.mu.Lock()
	defer s.targets.mu.Unlock()
	if c, ok := s.targets.all[key]; ok && reflect.DeepEqual(c.project, src.Project) {
		c.target.Source = src
		return c.target, nil
	}
	t, err := s.options.Connect(src, env)
	if err != nil {
		return t, err
	}
	if s.targets.all == nil {
		s.targets.all = map[string]connection{}
	}
	s.targets.all[key] = connection{src.Project, t}
	return t, nil
}

// connector is connect for one source.
func (s *Site) connector(src project.Source) func(project.Environment) (deploy.Target, error) {
	return func(env project.Environment) (deploy.Target, error) { return s.connect(src, env) }
}

// source returns the project that a request names.
func (s *Site) source(ctx context.Context, name string) (project.Source, error) {
	all, err := s.options.Sources(ctx)
	if err != nil {
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
	return s.connect(src, env)
}

// ofTarget serves a page about the environment that a request names. An error becomes the page of an error.
func (s *Site) ofTarget(
	serve func(http.ResponseWriter, *http.Request, deploy.Target) error,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := s.target(r)
		if err == nil {
			err = serve(w, r, t)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

// ofPast is ofTarget for a page that needs the record of the environment.
func (s *Site) ofPast(
	serve func(http.ResponseWriter, *http.Request, deploy.Target, release.Past) error,
) http.HandlerFunc {
	return s.ofTarget(func(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
		past, err := t.Records().Past(r.Context())
		if err != nil {
			return err
		}
		return serve(w, r, t, past)
	})
}
