package web

import (
	"context"
	"net/http"
	"sync"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/project"
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
	Gates            *project.Gates
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
	board := deploy.Board(ctx, src, s.connector(src))
	all.Wait()
	for i, standing := range board {
		c := column{Standing: standing, Gates: src.Project.Environments[i].Gates}
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
