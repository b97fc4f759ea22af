package origin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/object"
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
	written  *written
	deadline time.Time // after which no render is started
}

// baseline is what an experiment is compared with: the objects without the overrides that both renders leave
// out.
type baseline struct {
	removed []Override
	objects []object.Object
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
		written:  &written{view: view, documents: map[object.Origin]*yaml.Node{}},
		deadline: time.Now().Add(cmp.Or(o.Budget, defaultBudget)),
	}, err
}

// isOver reports whether no further render may be started.
func (x experiment) isOver(ctx context.Context) bool {
	return ctx.Err() != nil || time.Now().After(x.deadline)
}

// renderWith renders without some overrides, and with mutations of others.
func renderWith(
	ctx context.Context, x experiment, removed []Override, mutations ...*mutation,
) ([]object.Object, error) {
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
		c.replace[in.scalar] = quoted(string(c.print(in.doc)), in.scalar.Line)
	}
	edits := map[string][]byte{}
	for f := range touched {
		edits[f.name] = c.print(f.doc)
	}
	result, err := x.renderer.Edited(ctx, withoutFlags(x.env, removed), edits)
	if errors.Is(err, render.ErrEmpty) {
		return nil, nil
	}
	return result.Set.Objects(), err
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

// removeEach leaves out overrides one by one.
func removeEach(
	ctx context.Context, x experiment, asked []Override, base baseline,
) (tried []Effect, left []Override) {
	effects := make([]Effect, len(asked))
	done := make([]bool, len(asked))
	next := make(chan int)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for i := range next {
				without, err := renderWith(ctx, x, append(slices.Clone(base.removed), asked[i]))
				effects[i], done[i] = Effect{Override: asked[i], Err: err}, true
				if err == nil {
					effects[i].Changes = differences(base.objects, without)
				}
			}
		})
	}
	for i := range asked {
		if x.isOver(ctx) {
			break
		}
		next <- i
	}
	close(next)
	work.Wait()
	for i, e := range effects {
		if done[i] {
			tried = append(tried, e)
		} else {
			left = append(left, asked[i])
		}
	}
	return tried, left
}

// mutateEach lets overrides say something else. It renders them in groups first; the returned function gives
// what then changes because of one of them, and renders that one alone where its group could not tell. It is
// false where the override says nothing that could be different, or does not render then.
func mutateEach(
	ctx context.Context, x experiment, asked []Override, base baseline,
) func(Override) (changes []Change, ok bool) {
	known := mutateGroups(ctx, x, asked, base)
	return func(o Override) ([]Change, bool) {
		if changes, ok := known[o.rank]; ok {
			return changes, true
		}
		return mutateAlone(ctx, x, o, base)
	}
}

// mutateAlone lets one override say something else and returns what changes. It is false as for mutateEach.
func mutateAlone(ctx context.Context, x experiment, o Override, base baseline) (changes []Change, ok bool) {
	m := mutate(o)
	if m == nil {
		return nil, false
	}
	objects, err := renderWith(ctx, x, base.removed, m)
	if err != nil {
		return nil, false
	}
	return differences(base.objects, objects), true
}
