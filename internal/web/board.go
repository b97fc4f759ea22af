package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/project"
	"slipway/internal/promote"
)

// boardPage is the page of all environments.
type boardPage struct {
	Projects []boardProject
	// Unread are the environments whose projects cannot be read, with the reason.
	Unread []string
}

type boardProject struct {
	Name    string
	Source  project.Source
	Forge   forge
	Columns []column
	// Compares: the page compare exists, and Promotes: the page promote.
	Compares, Promotes bool
}

// column is one environment.
type column struct {
	promote.Standing
	// Unchecked is why Errors and Warnings are not known; empty: they are.
	Unchecked        string
	Errors, Warnings int
	// LeftOut counts what was not checked.
	LeftOut int
	// More is how many commits are waiting beside those that are named.
	More int
	// May are the rights of the person.
	May Rights
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
	if err != nil && len(sources) == 0 {
		s.fail(w, r, err)
		return
	}
	page := boardPage{Projects: make([]boardProject, len(sources))}
	if err != nil {
		page.Unread = strings.Split(err.Error(), "\n")
	}
	var all sync.WaitGroup
	for i, src := range sources {
		all.Go(func() { page.Projects[i] = s.boardOf(r.Context(), src) })
	}
	all.Wait()
	page.Projects = slices.DeleteFunc(page.Projects, func(p boardProject) bool { return len(p.Columns) == 0 })
	title := "environments"
	if len(sources) == 1 {
		title = sources[0].Project.Name
	}
	s.show(w, r, http.StatusOK, "board", view{Title: title, Page: page})
}

func (s *Site) boardOf(ctx context.Context, src project.Source) boardProject {
	whole := src
	src, rights := s.visible(ctx, src)
	b := boardProject{Name: src.Project.Name, Source: src, Forge: forgeOf(src.Remote),
		Compares: s.options.Compare != nil, Promotes: s.options.Promotes != nil}
	var found answer[finding.Outcome]
	var all sync.WaitGroup
	if s.options.Findings != nil {
		all.Go(func() { found = s.check(ctx, whole) })
	}
	board := s.options.Board(ctx, src)
	all.Wait()
	for _, standing := range board {
		c := column{Standing: standing, May: rights[standing.Environment]}
		if standing.Behind != nil {
			c.More = standing.Behind.Commits - len(standing.Behind.Waiting)
		}
		switch {
		case s.options.Findings == nil:
		case !found.Known():
			c.Unchecked = "running …"
		case found.Err != nil:
			c.Unchecked = "failed"
			if c.May.Values { // the error may quote the source
				c.Unchecked = found.Err.Error()
			}
		default:
			o := outcomeIn(found.Value, standing.Environment)
			counts := finding.Count(o.Findings)
			c.Errors, c.Warnings = counts.Errors, counts.Warnings
			c.LeftOut = len(o.Unchecked)
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

// gateRow is one gate.
type gateRow struct {
	// Name is that of promote.Gate; empty: the row is about all gates.
	Name, Text string
	Shut       bool
	// Since is when it shut or opened; zero: that is not known.
	Since time.Time
}

func rowOf(g promote.Gate) gateRow {
	text := g.Why
	if !g.Opens.IsZero() && g.Name != "windows" {
		text += ", opens at " + g.Opens.Format("15:04 MST on Jan 2")
	}
	return gateRow{g.Name, text, !g.Open, g.Since}
}

// GateRows are the gates that are shut; where all are open, one row that says so.
func (c column) GateRows() (rows []gateRow) {
	d := c.Gates
	switch {
	case d == nil:
		return nil
	case d.Error != "":
		return []gateRow{{Text: "unknown: " + d.Error, Shut: true}}
	}
	for _, g := range d.Shut() {
		row := rowOf(g)
		row.Text = "shut: " + row.Text
		rows = append(rows, row)
	}
	switch {
	case len(rows) > 0:
	case d.Proof.Environment == "": // an agent has looked at them, or has not yet
		if len(d.Gates) > 0 {
			rows = []gateRow{{Text: "open"}}
		}
	default:
		rows = []gateRow{{Text: "open: " + strings.TrimSuffix(d.Proof.String(), ".")}}
	}
	return rows
}
