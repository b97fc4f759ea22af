package check

import (
	"context"
	"maps"
	"slices"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// Job is a question about a project that others have written: what check finds, why a field has its value, or
// how one environment differs from another. Work answers it, in whichever process. The shape is JSON between
// processes.
type Job struct {
	Project project.Project `json:"project"`
	Render  render.Options  `json:"render"`
	// Today is the day, as "2027-03-31", by which exceptions expire.
	Today string `json:"today"`
	// Environment is the one that Why or Compare is about; empty: all environments are checked.
	Environment string           `json:"environment,omitempty"`
	Why         *origin.Question `json:"why,omitempty"`
	Compare     *Other           `json:"compare,omitempty"`
	// Past is the commit before, for the check of all environments; nil: the project has none.
	Past *PastFiles `json:"past,omitempty"`
}

// PastFiles are those files of an earlier state that have other texts now.
type PastFiles struct {
	// Name and Missing are as in Past.
	Name    string `json:"name"`
	Missing string `json:"missing,omitempty"`
	// Texts are by the path from the project's directory.
	Texts map[string][]byte `json:"texts,omitempty"`
}

func (f *PastFiles) past() *Past {
	if f == nil {
		return nil
	}
	return &Past{Name: f.Name, Missing: f.Missing, Changed: slices.Sorted(maps.Keys(f.Texts)),
		Text: func(name string) ([]byte, error) { return f.Texts[name], nil }}
}

// Other is the environment that a Job's environment is compared with, as its own commit has it.
type Other struct {
	Project     project.Project `json:"project"`
	Environment string          `json:"environment"`
}

// Answer is the result of a Job. With an Error it has Touched and TouchedOther alone.
type Answer struct {
	finding.Outcome
	Chain  origin.Chain    `json:"chain,omitzero"`
	Result contract.Result `json:"result,omitzero"`
	// Touched is everything below the project's directory that was looked at, and TouchedOther the same below
	// that of the other environment.
	Touched      []tree.Read `json:"touched,omitempty"`
	TouchedOther []tree.Read `json:"touchedOther,omitempty"`
	Error        string      `json:"error,omitempty"`
}

// Work does a job. The error is part of the answer.
func Work(ctx context.Context, job Job) (a Answer) {
	from, err := openState(job.Project, job.Render)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	defer from.close()
	switch {
	case job.Compare != nil:
		to := from
		if job.Compare.Project.Dir != job.Project.Dir {
			if to, err = openState(job.Compare.Project, job.Render); err != nil {
				break
			}
			defer to.close()
		}
		in := contract.Input{Exceptions: to.project.Exceptions, Today: job.Today}
		a.Result, err = compareSides(ctx, pair{from, to, job.Environment, job.Compare.Environment}, in, "")
		a.TouchedOther = to.renderer.Touched()
	case job.Why != nil:
		var env project.Environment
		if env, err = job.Project.Environment(job.Environment); err == nil {
			a.Chain, err = origin.Why(ctx, from.renderer, env, *job.Why, origin.Options{})
		}
	default:
		a.Outcome, err = findIn(ctx, from, job.Today, job.Past.past())
	}
	a.Touched = from.renderer.Touched()
	for _, name := range job.Project.Rules {
		a.Touched = append(a.Touched, tree.Read{Kind: tree.File, Path: name})
	}
	if err != nil {
		a = Answer{Touched: a.Touched, TouchedOther: a.TouchedOther, Error: err.Error()}
	}
	return a
}

// findIn checks all environments of a project.
func findIn(ctx context.Context, s state, today string, before *Past) (finding.Outcome, error) {
	now, err := time.Parse(time.DateOnly, today)
	if err != nil {
		return finding.Outcome{}, err
	}
	in := Input{Project: s.project, Environments: s.project.Environments, Renderer: s.renderer, Now: now,
		Past: before}
	if in.Rules, err = LoadRules(s.project.Dir, s.project.Rules); err != nil {
		return finding.Outcome{}, err
	}
	report, err := Run(ctx, in)
	return report.Outcome(), err
}

// openState opens a project as it is.
func openState(p project.Project, o render.Options) (state, error) {
	r, err := render.OpenProject(p, o)
	return state{p, r, func() {}}, err
}
