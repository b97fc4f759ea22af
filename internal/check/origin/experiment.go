package origin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// experiment is an environment that is rendered with overrides left out, or saying something else.
type experiment struct {
	inventory
	renderer *render.Renderer
	env      project.Environment
	charts   []project.Chart // its own, and those of its skaffold.yaml
	view     *tree.View
	result   render.Result // with everything in place
	surveys  *surveys
	texts    *chartTexts
	outside  map[string]bool         // files of overrides that no part reads
	only     func(*render.Part) bool // the parts that are looked at; nil: all
	budget   *budget
}

// baseline is what an experiment is compared with: the parts without the overrides that both renders leave
// out.
type baseline struct {
	removed []Override
	parts   []*render.Part
}

func newExperiment(
	ctx context.Context, r *render.Renderer, env project.Environment, o Options,
) (experiment, error) {
	result := o.Rendered
	if result == nil {
		rendered, err := r.Render(ctx, env)
		if err != nil {
			return experiment{}, err
		}
		result = &rendered
	}
	charts, err := r.Charts(ctx, env)
	if err != nil {
		return experiment{}, err
	}
	view := r.View(ctx)
	overrides, err := collect(view, result.Reads, env, charts)
	return experiment{
		inventory: overrides, renderer: r, env: env, charts: charts, view: view, result: *result,
		surveys: &surveys{parts: map[*render.Part]*survey{}}, budget: newBudget(o),
		texts:   &chartTexts{known: map[string]chartText{}},
		outside: filesOutside(overrides.overrides, result.Parts),
	}, err
}

// whole is the baseline with everything in place.
func (x experiment) whole() baseline {
	parts := slices.Clone(x.result.Parts)
	for i, p := range parts {
		if x.only != nil && !x.only(p) {
			parts[i] = nil
		}
	}
	return baseline{parts: parts}
}

// renderWith renders without some overrides, and with mutations of others. Parts of base that these do not
// concern are taken from there.
func renderWith(
	ctx context.Context, x experiment, base baseline, removed []Override, mutations ...*mutation,
) ([]*render.Part, error) {
	removed = slices.Concat(base.removed, removed)
	return renderEdited(ctx, x, base, removed, edits(removed, mutations...))
}

// renderEdited renders with other texts for some files, and without the chart flags among some overrides.
func renderEdited(
	ctx context.Context, x experiment, base baseline, removed []Override, texts map[string][]byte,
) ([]*render.Part, error) {
	parts, err := x.renderer.Again(ctx, x.result, withoutFlags(x.env, removed), texts, base.parts, x.only)
	x.budget.spend(parts, base.parts)
	return parts, err
}

// edits returns the texts of the files that overrides are removed from, or that mutations change.
func edits(removed []Override, mutations ...*mutation) map[string][]byte {
	c := change{drop: map[*yaml.Node]bool{}, replace: map[*yaml.Node]*yaml.Node{}}
	touched, inlines := map[*file]bool{}, map[*inline]bool{}
	for _, m := range mutations {
		maps.Copy(c.replace, m.nodes)
		touched[m.file] = true
		if m.inside != nil {
			inlines[m.inside] = true
		}
	}
	for _, o := range removed {
		if o.flag != nil {
			continue
		}
		touched[o.file] = true
		c.drop[o.node.Node] = true
		if o.node.inside != nil {
			inlines[o.node.inside] = true
		}
	}
	for in := range inlines {
		c.replace[in.scalar] = quoted(string(c.printAll(in.docs)), in.scalar.Line)
	}
	texts := map[string][]byte{}
	for f := range touched {
		texts[f.name] = c.printAll(f.docs)
	}
	return texts
}

// withoutFlags is the environment without the chart flags among some overrides.
func withoutFlags(env project.Environment, removed []Override) project.Environment {
	env.Charts = slices.Clone(env.Charts)
	for i := range env.Charts {
		for j, list := range flagLists(&env.Charts[i]) {
			var kept []string
			for k, s := range *list {
				isRemoved := func(o Override) bool { return o.flag != nil && *o.flag == chartFlag{i, j, k} }
				if !slices.ContainsFunc(removed, isRemoved) {
					kept = append(kept, s)
				}
			}
			*list = kept
		}
	}
	return env
}

// trial is a group of overrides that is rendered once: without its members, or with what the mutations say.
type trial struct {
	*group
	mutations []*mutation
}

// try renders trials side by side and returns what each override changes. A trial in which the effects of
// several overrides cannot be told apart is split. Left are the overrides that the budget did not reach.
func try(ctx context.Context, x experiment, trials []trial, base baseline) (tried []Effect, left []Override) {
	var mu sync.Mutex
	var work sync.WaitGroup
	next := make(chan trial)
	var run func(trial)
	run = func(t trial) {
		if x.budget.isSpent(ctx) {
			mu.Lock()
			defer mu.Unlock()
			left = append(left, t.overrides()...)
			return
		}
		effects, ok := tryOnce(ctx, x, t, base)
		if !ok {
			for _, half := range t.split() {
				run(half)
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		tried = append(tried, effects...)
	}
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for t := range next {
				run(t)
			}
		})
	}
	for _, t := range trials {
		next <- t
	}
	close(next)
	work.Wait()
	slices.SortFunc(tried, func(a, b Effect) int { return cmp.Compare(a.rank, b.rank) })
	slices.SortFunc(left, func(a, b Override) int { return cmp.Compare(a.rank, b.rank) })
	return tried, left
}

// tryOnce renders a trial. It is false where several members cannot be told apart: the render fails, or an
// object changes that none of them reaches.
func tryOnce(ctx context.Context, x experiment, t trial, base baseline) (effects []Effect, ok bool) {
	var removed []Override
	if len(t.mutations) == 0 {
		removed = t.overrides()
	}
	parts, err := renderWith(ctx, x, base, removed, t.mutations...)
	if err != nil && len(t.members) > 1 {
		return nil, false
	}
	effects = make([]Effect, len(t.members))
	if err != nil {
		effects[0] = Effect{Override: t.members[0].Override, Err: err}
		return effects, true
	}
	attributed, ok := t.attribute(differences(base.parts, parts))
	for i, m := range t.members {
		if ok {
			effects[i] = Effect{Override: m.Override, Changes: attributed[i]}
		}
	}
	return effects, ok
}

func (t trial) split() []trial {
	var list []trial
	at := 0
	for _, half := range t.halves() {
		part := trial{group: half}
		if len(t.mutations) > 0 {
			part.mutations = t.mutations[at : at+len(half.members)]
		}
		at += len(half.members)
		list = append(list, part)
	}
	return list
}

// remove leaves out overrides, several in one render where their effects can be told apart. The effects are
// in the order of the overrides' ranks; left are the overrides that the budget did not reach.
func remove(
	ctx context.Context, x experiment, asked []Override, base baseline,
) (effects []Effect, left []Override) {
	if x.budget.isSpent(ctx) {
		return nil, asked
	}
	groups, idle := grouped(x, asked, base)
	var trials []trial
	for _, g := range groups {
		trials = append(trials, trial{group: g})
	}
	effects, left = try(ctx, x, trials, base)
	for _, o := range idle {
		effects = append(effects, Effect{Override: o})
	}
	slices.SortFunc(effects, func(a, b Effect) int { return cmp.Compare(a.rank, b.rank) })
	return effects, left
}

// mutateEach lets overrides say something else and returns what then changes because of each. An effect with
// an error is of an override that does not render then, or says nothing that could be different.
func mutateEach(
	ctx context.Context, x experiment, asked []Override, base baseline,
) (effects []Effect, left []Override) {
	if x.budget.isSpent(ctx) {
		return nil, asked
	}
	groups, idle := grouped(x, asked, base)
	var trials []trial
	for _, g := range groups {
		t := trial{group: newGroup()}
		for _, m := range g.members {
			if mutation := mutate(m.Override); mutation != nil {
				t.join(m)
				t.mutations = append(t.mutations, mutation)
			} else {
				effects = append(effects, Effect{Override: m.Override, Err: errSameWhatever})
			}
		}
		if len(t.members) > 0 {
			trials = append(trials, t)
		}
	}
	tried, left := try(ctx, x, trials, base)
	effects = append(effects, tried...)
	for _, o := range idle {
		e := Effect{Override: o}
		if mutate(o) == nil {
			e.Err = errSameWhatever
		}
		effects = append(effects, e)
	}
	slices.SortFunc(effects, func(a, b Effect) int { return cmp.Compare(a.rank, b.rank) })
	return effects, left
}

// errSameWhatever is of an override without a value that could be another.
var errSameWhatever = errors.New("it has no value that could be different")
