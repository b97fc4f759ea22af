// Package origin says why an environment's objects are as they are: it renders again with one override
// left out, and what then comes out differently is so because of it. Where nothing does, the override is
// dead. It knows the places of overrides in the formats, and nothing of what they mean.
package origin

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Override is one thing that a file says on top of what others say: an entry of a kustomization, an
// operation of a patch, a value.
type Override struct {
	finding.Place
	Kind string // the kustomization's field, or "values"
	Name string // `images[0] "myapp"`, `image.tag`
	Text string // what it says, on one line
	node *node
	file *file
	set  *flag
	rank int // the later the stronger, among overrides of one kind
}

// Effect is what an override does in an environment.
type Effect struct {
	Override
	Changes []Change // none: it does nothing
	// Err is why it could not be left out: something else needs it.
	Err error
}

// Options bound the work.
type Options struct {
	// Budget is how long renders may be begun; 0: ten seconds.
	Budget time.Duration
	// Only are the overrides that are tried; nil: all but a chart's own defaults.
	Only func(Override) bool
}

// Report is what all overrides of an environment do.
type Report struct {
	Environment project.Environment
	Set         object.Set
	Effects     []Effect
	// NotTried is what the budget left over, and Several the files of several documents, in which nothing
	// is tried.
	NotTried []Override
	Several  []string

	lab *lab
}

const defaultBudget = 10 * time.Second

// Analyze leaves out each override of an environment in its turn.
func Analyze(ctx context.Context, r *render.Renderer, env project.Environment, o Options) (*Report, error) {
	l, err := newLab(ctx, r, env)
	if err != nil {
		return nil, err
	}
	only := o.Only
	if only == nil {
		only = func(o Override) bool { return !o.isDefault() }
	}
	asked := slices.DeleteFunc(slices.Clone(l.overrides), func(o Override) bool { return !only(o) })
	report := &Report{Environment: env, Set: l.with.Set, Several: l.several, lab: l}
	until := time.Now().Add(cmp.Or(o.Budget, defaultBudget))
	all := ground{with: l.with.Set.Objects()}
	shared, single := l.together(ctx, asked, until, all)
	report.Effects, report.NotTried = l.each(ctx, single, until, all)
	report.Effects = append(report.Effects, shared...)
	slices.SortFunc(report.Effects, func(a, b Effect) int { return cmp.Compare(a.rank, b.rank) })
	return report, ctx.Err()
}

// ground is what is compared with: the objects without the overrides that are gone from both sides.
type ground struct {
	gone []Override
	with []object.Object
}

// each leaves out overrides one by one.
func (l *lab) each(ctx context.Context, asked []Override, until time.Time, g ground) ([]Effect, []Override) {
	effects := make([]Effect, len(asked))
	done := make([]bool, len(asked))
	next := make(chan int)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for i := range next {
				without, err := l.render(ctx, append(slices.Clone(g.gone), asked[i]))
				effects[i], done[i] = Effect{Override: asked[i], Err: err}, true
				if err == nil {
					effects[i].Changes = differences(g.with, without)
				}
			}
		})
	}
	for i := range asked {
		if ctx.Err() != nil || time.Now().After(until) {
			break
		}
		next <- i
	}
	close(next)
	work.Wait()
	var tried []Effect
	var left []Override
	for i, e := range effects {
		if done[i] {
			tried = append(tried, e)
		} else {
			left = append(left, asked[i])
		}
	}
	return tried, left
}

// Because are the overrides that a field is so because of, the weakest first. Fields below the asked one
// count, and those that hold it.
func (r *Report) Because(ref object.Ref, field string) []Override {
	var list []Override
	for _, e := range r.Effects {
		if slices.ContainsFunc(e.Changes, func(c Change) bool { return c.touches(ref, field) }) {
			list = append(list, e.Override)
		}
	}
	return list
}

func (c Change) touches(ref object.Ref, field string) bool {
	if c.Ref != ref {
		return false
	}
	return len(c.Fields) == 0 || field == "" || slices.ContainsFunc(c.Fields, func(f object.Field) bool {
		return within(f.Path, field) || within(field, f.Path) && differsAt(f, field)
	})
}

// differsAt says whether what changed as a whole changed in a part of it.
func differsAt(f object.Field, part string) bool {
	above, errAbove := object.Steps(f.Path)
	steps, err := object.Steps(part)
	if err != nil || errAbove != nil || len(steps) < len(above) {
		return true
	}
	before, had := object.Value(f.Before, steps[len(above):])
	after, has := object.Value(f.After, steps[len(above):])
	return had != has || !reflect.DeepEqual(before, after)
}

// within says whether a path is another, or below it.
func within(path, above string) bool {
	if len(path) < len(above) || path[:len(above)] != above {
		return false
	}
	return len(path) == len(above) || above == "" || path[len(above)] == '.' || path[len(above)] == '['
}

func (o Override) String() string { return fmt.Sprintf("%s: %s", o.Place, o.Name) }
