package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/promote"
)

// boardPage is the page of all environments.
type boardPage struct{ Projects []boardProject }

type boardProject struct {
	Name    string
	Source  project.Source
	Forge   forge
	Columns []column
}

// column is one environment.
type column struct {
	deploy.Standing
	// Unchecked is why Errors and Warnings are not known; empty: they are.
	Unchecked        string
	Errors, Warnings int
	// Gate says why the gate of the environment is shut, or since when it is open; empty: it has none.
	Gate gate
	// More is how many commits are waiting beside those that are named.
	More int
}

// inProject is a column with its project, for templates.
type inProject struct {
	Project boardProject
	Column  column
}

// State is a word for the style of a column.
func (c column) State() string {
	switch {
	case c.Error != "":
		return "unknown"
	case !c.Deployed():
		return "none"
	case c.Healthy:
		return "good"
	case c.Release.Status == "pending":
		return "busy"
	}
	return "bad"
}

func (s *Site) serveBoard(w http.ResponseWriter, r *http.Request) {
	sources, err := s.options.Sources(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := boardPage{Projects: make([]boardProject, len(sources))}
	var all sync.WaitGroup
	for i, src := range sources {
		all.Go(func() { page.Projects[i] = s.boardOf(r.Context(), src) })
	}
	all.Wait()
	title := "environments"
	if len(sources) == 1 {
		title = sources[0].Project.Name
	}
	s.show(w, r, http.StatusOK, "board", view{Title: title, Page: page})
}

func (s *Site) boardOf(ctx context.Context, src project.Source) boardProject {
	b := boardProject{Name: src.Project.Name, Source: src, Forge: forgeOf(src.Remote)}
	var found answer[[]finding.Finding]
	var all sync.WaitGroup
	all.Go(func() { found = s.check(ctx, src) })
	gates := make([]gate, len(src.Project.Environments))
	for i, env := range src.Project.Environments {
		all.Go(func() { gates[i] = s.gateOf(ctx, src, env) })
	}
	board := deploy.Board(ctx, src, s.connector(src))
	all.Wait()
	for i, standing := range board {
		c := column{Standing: standing, Gate: gates[i]}
		if standing.Behind != nil {
			c.More = standing.Behind.Commits - len(standing.Behind.Waiting)
		}
		switch {
		case !found.Known():
			c.Unchecked = "running …"
		case found.Err != nil:
			c.Unchecked = found.Err.Error()
		default:
			c.Errors, c.Warnings = countFindings(findingsIn(found.Value, standing.Environment))
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

// gate is what a promotion to an environment needs.
type gate struct {
	Text string
	Shut bool
}

// gateOf asks whether the gate of an environment is open for what the environment before it runs.
func (s *Site) gateOf(ctx context.Context, src project.Source, env project.Environment) gate {
	if env.Gates == nil || env.Gates.From == "" {
		return gate{}
	}
	from, err := src.Project.Environment(env.Gates.From)
	if err != nil {
		return gate{err.Error(), true}
	}
	proof, err := s.prove(ctx, src, env, from)
	if shut := (*promote.GateError)(nil); errors.As(err, &shut) {
		return gate{"shut: " + shut.Why, true}
	}
	if err != nil {
		return gate{"unknown: " + err.Error(), true}
	}
	return gate{Text: "open: " + strings.TrimSuffix(proof.String(), ".")}
}

func (s *Site) prove(ctx context.Context, src project.Source, env, from project.Environment) (
	promote.Proof, error) {
	t, err := s.connect(src, env)
	if err != nil {
		return promote.Proof{}, err
	}
	before, err := s.connect(src, from)
	if err != nil {
		return promote.Proof{}, err
	}
	past, err := before.Records().Past(ctx)
	if err != nil {
		return promote.Proof{}, err
	}
	// The images that files name count in a promotion alone: it renders both environments.
	return promote.Prove(ctx, t, before, past, func(context.Context) ([]image.Pin, error) { return nil, nil })
}
