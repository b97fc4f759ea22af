package web

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/release"
	"slipway/internal/rollout"
)

// environmentPage is the page of one environment: its objects and its drift.
type environmentPage struct {
	place
	Release release.Release
	Pauses  release.Pauses
	Health  answer[[]rollout.Standing]
	Drift   answer[deploy.Drift]
	// Keepers are other tools that deploy an environment without a release.
	Keepers []deploy.Keeper
	// Faults are why one of these, or both, could not be read.
	Faults []fault
	// Fields are the first of those that drifted, and MoreFields counts the others.
	Fields     []driftRow
	MoreFields int
	Rows       []row
	Objects    pager
	// Problems counts the objects that are not healthy. Query and Only are the filter.
	Problems    int
	Query, Only string
	// Why: the page why exists.
	Why bool
	// Unfinished: something has changed since the health and the drift were read.
	Unfinished bool
}

// place is the environment that a page is about.
type place struct {
	Project, Environment, Class string
	Forge                       forge
	// Path is the project's directory in the repository, with a slash at its end.
	Path string
	// Commit is what file names mean.
	Commit string
}

func placeOf(t deploy.Target) place {
	p := place{Project: t.Source.Project.Name, Environment: t.Environment.Name,
		Class: string(t.Environment.Class), Forge: forgeOf(t.Source.Remote), Commit: t.Source.Commit}
	if t.Source.Path != "" {
		p.Path = t.Source.Path + "/"
	}
	return p
}

// File is the address of a file of the project in the forge; empty where it is not known.
func (p place) File(file string, line int) string { return p.Forge.File(p.Commit, p.Path+file, line) }

// driftRow is one field that drifted, or one object.
type driftRow struct {
	deploy.Drifted
	Field *deploy.DriftedField // nil: the object as a whole
	Added *deploy.Stray
}

// maxDrift is how many drifted fields a page shows: a terminal shows the others.
const maxDrift = 200

func driftRows(d deploy.Drift) (rows []driftRow, more int) {
	for _, o := range d.Changed {
		if o.What != deploy.Changed {
			rows = append(rows, driftRow{Drifted: o})
		}
		for i := range o.Fields {
			rows = append(rows, driftRow{Drifted: o, Field: &o.Fields[i]})
		}
	}
	for i := range d.Added {
		added := &d.Added[i]
		rows = append(rows, driftRow{Drifted: deploy.Drifted{Ref: added.Ref, What: "added"}, Added: added})
	}
	shown := min(len(rows), maxDrift)
	return rows[:shown], len(rows) - shown
}

func (s *Site) serveEnvironment(
	w http.ResponseWriter, r *http.Request, t deploy.Target, past release.Past,
) error {
	page := environmentPage{place: placeOf(t), Release: past.Latest, Why: s.options.Why != nil,
		Pauses: past.Pauses.Active(time.Now())}
	page.Commit = past.Latest.Commit
	if rel := past.Latest; rel.Revision > 0 && rel.Status != release.Deleted {
		s.look(r.Context(), t, past, &page)
		changed := s.hub.lastOf(page.Project + "/" + page.Environment)
		page.Unfinished = page.Health.Before(changed) || page.Drift.Before(changed)
		page.Fields, page.MoreFields = driftRows(page.Drift.Value)
		s.list(r, rel.Objects, &page)
	} else if keepers, err := deploy.ConfiguredKeepers(r.Context(), t); err != nil {
		page.Faults = append(page.Faults, *s.fault(err))
	} else {
		page.Keepers = keepers
	}
	s.show(w, r, http.StatusOK, "environment", viewOf(t.Source, t.Environment.Name, "", page))
	return nil
}

// look reads the health of the objects of the newest release, and its drift.
func (s *Site) look(ctx context.Context, t deploy.Target, past release.Past, page *environmentPage) {
	rel, name, patience := past.Latest, page.Project+"/"+page.Environment, longPatience
	isLarge := rel.Objects.Len() >= manyObjects
	if isLarge {
		patience = shortPatience
		if began, ok := ctx.Value(beganKey{}).(time.Time); ok { // the page has waited for the record, too
			patience = max(leastPatience, shortPatience-time.Since(began))
		}
	}
	var all sync.WaitGroup
	health := question[[]rollout.Standing]{
		name: name, patience: patience, find: func(ctx context.Context) ([]rollout.Standing, error) {
			return healthOf(ctx, t, rel)
		},
	}
	looking := s.health.begin(ctx, health)
	all.Go(func() { page.Health = s.health.wait(ctx, health, looking) })
	all.Go(func() {
		page.Drift = s.drift.ask(ctx, question[deploy.Drift]{
			name: name, patience: patience, find: func(ctx context.Context) (deploy.Drift, error) {
				if isLarge && looking != nil {
					<-looking // a dry run of all objects would delay their health, which the page waits for
				}
				return deploy.FindDriftFrom(ctx, t, past)
			},
		})
	})
	all.Wait()
	for _, err := range []error{page.Health.Err, page.Drift.Err} {
		if err != nil {
			page.Faults = append(page.Faults, *s.fault(err))
		}
	}
}

// healthOf is the health of the objects without the objects: a page has no use for what they weigh.
func healthOf(ctx context.Context, t deploy.Target, rel release.Release) ([]rollout.Standing, error) {
	states, err := rollout.Health(ctx, t.Cluster, t.Judge, rel.Objects.Refs())
	for i := range states {
		states[i].Live = object.Object{}
	}
	return states, err
}

// list fills in the rows that the request asks for.
func (s *Site) list(r *http.Request, set object.Set, page *environmentPage) {
	rows := rowsOf(set, page.Health.Value, page.Drift.Value)
	page.Query, page.Only = strings.TrimSpace(r.FormValue("q")), r.FormValue("only")
	isProblem := func(o row) bool { return o.State() != "good" || o.Drifted > 0 }
	for _, o := range rows {
		if isProblem(o) {
			page.Problems++
		}
	}
	rows = slices.DeleteFunc(rows, func(o row) bool {
		text := strings.ToLower(o.Ref.String() + " " + o.Group)
		return page.Only == "problems" && !isProblem(o) || !strings.Contains(text, strings.ToLower(page.Query))
	})
	page.Objects = pageOf(r, len(rows))
	page.Rows = rows[page.Objects.From:page.Objects.To]
}
