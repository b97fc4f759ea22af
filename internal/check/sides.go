package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/render"
	"slipway/internal/words"
)

// CompareOptions say how two environments are compared.
type CompareOptions struct {
	// Namespace replaces that of the environments.
	Namespace string
	Render    render.Options
	// Today is the day, as "2027-03-31", by which exceptions expire.
	Today string
}

// Compare renders two environments of a project and returns how b differs from a. Each is called ENV, or
// ENV@REVISION for the environment as a Git revision has it. It asks no cluster.
func Compare(ctx context.Context, p project.Project, a, b string, o CompareOptions) (contract.Result, error) {
	_, revisionA := splitRevision(a)
	_, revisionB := splitRevision(b)
	from, err := openRevision(ctx, p, revisionA, o.Render)
	if err != nil {
		return contract.Result{}, fmt.Errorf("%s: %w", a, err)
	}
	defer from.close()
	to := from
	if revisionB != revisionA {
		if to, err = openRevision(ctx, p, revisionB, o.Render); err != nil {
			return contract.Result{}, fmt.Errorf("%s: %w", b, err)
		}
		defer to.close()
	}
	in := contract.Input{Exceptions: p.Exceptions, Today: o.Today}
	return compareSides(ctx, pair{from, to, a, b}, in, o.Namespace)
}

// pair are two environments to compare: each in a state of the files, with its title, ENV or ENV@REVISION.
type pair struct {
	from, to state
	a, b     string
}

// compareSides renders a pair and compares it by the rest of the input.
func compareSides(ctx context.Context, p pair, in contract.Input, namespace string) (contract.Result, error) {
	var notes, more []string
	var err error
	if in.A, notes, err = renderSide(ctx, p.from, p.a, namespace); err != nil {
		return contract.Result{}, err
	}
	if in.B, more, err = renderSide(ctx, p.to, p.b, namespace); err != nil {
		return contract.Result{}, err
	}
	result := contract.Compare(in)
	for _, n := range append(notes, more...) {
		if n != render.NoNamespace && !slices.Contains(result.Notes, n) {
			result.Notes = append(result.Notes, n)
		}
	}
	return result, nil
}

// splitRevision splits ENV@REVISION. The revision keeps its "@": without one it is empty.
func splitRevision(name string) (env, revision string) {
	env, _, _ = strings.Cut(name, "@")
	return env, name[len(env):]
}

// state is one state of a project's files, with what renders it.
type state struct {
	project  project.Project
	renderer *render.Renderer
	remove   func()
}

func (s state) close() {
	s.renderer.Close()
	s.remove()
}

// openRevision opens the project as it is, or as a revision has it.
func openRevision(ctx context.Context, p project.Project, revision string, o render.Options) (state, error) {
	remove := func() {}
	if revision, past := strings.CutPrefix(revision, "@"); past {
		src, removeFiles, err := source.At(ctx, p.Dir, revision)
		if err != nil {
			return state{}, err
		}
		p, remove = src.Project, removeFiles
	}
	r, err := render.OpenProject(p, o)
	if err != nil {
		remove()
		return state{}, err
	}
	return state{p, r, remove}, nil
}

// causesBudget is how long the causes on one side may be looked for.
const causesBudget = 3 * time.Second

// renderSide renders one side of a comparison and finds the causes of its fields.
func renderSide(
	ctx context.Context, s state, title, namespace string,
) (side contract.Side, notes []string, err error) {
	name, _ := splitRevision(title)
	env, err := s.project.Environment(name)
	if err != nil {
		return side, nil, err
	}
	env.Namespace = cmp.Or(namespace, env.Namespace)
	result, err := s.renderer.Render(ctx, env)
	if err != nil {
		return side, nil, err
	}
	report, err := origin.Analyze(ctx, s.renderer, env, origin.Options{Budget: causesBudget, Rendered: &result})
	if err != nil {
		return side, nil, err
	}
	notes = slices.Clone(result.Warnings)
	if n := len(report.NotTried); n > 0 {
		note := fmt.Sprintf("%s: %s not looked at as causes, in %s", title, words.Count(n, "override"),
			causesBudget)
		notes = append(slices.Clone(notes), note)
	}
	locate := func(at object.Origin, field string) finding.Place {
		place, _ := origin.Locate(s.renderer.View(ctx), at, field)
		return place
	}
	because := func(ref object.Ref, field string) []finding.Place { return causes(report, ref, field) }
	return contract.Side{
		Name: title, Environment: env, Set: result.Set, Because: because, Locate: locate,
		Written: report.Written,
	}, notes, nil
}

// causes returns the places of the overrides that decide a field. Of a patch and one of its operations only
// the operation is returned: it says more.
func causes(report *origin.Report, ref object.Ref, field string) []finding.Place {
	var places []finding.Place
	overrides := report.Because(ref, field)
	for _, o := range overrides {
		isPart := func(other origin.Override) bool { return strings.HasPrefix(other.Name, o.Name+": ") }
		if !slices.ContainsFunc(overrides, isPart) {
			places = append(places, o.Place)
		}
	}
	return places
}
