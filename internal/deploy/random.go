package deploy

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/render"
)

// RandomError says that a field of an object that is there already differs on each render: the deploy would
// replace a value that runs, such as the password of a database.
type RandomError struct {
	Ref object.Ref
	render.Unstable
}

func (e *RandomError) Error() string {
	return fmt.Sprintf("%s: %s exists already, and the chart generates a new value in each render: %s in %s",
		e.Ref, e.Field, e.Functions, e.Call)
}

// unstableRule is the rule of check about values that differ on each render.
const unstableRule = "unstable-render"

// markRandom blocks changes of objects that are there and have random values, unless an exception in
// slipway.yaml or the caller allows them; the review then says so. In a local environment they are only
// warnings of the render, and so is what only restarts pods: an annotation or a label.
func markRandom(t Target, observed []plan.Observed, p *Prepared, today string) {
	if t.Environment.Class == project.Local {
		return
	}
	for i, seen := range observed {
		j := slices.IndexFunc(p.Unstable, func(u render.Unstable) bool {
			return isRandom(seen.Ref, u) && !isExcepted(t, seen.Ref, u, today)
		})
		switch {
		case j < 0 || seen.Desired.Body == nil || seen.Err != nil || seen.Ref.RunsOnce():
		case seen.Live.Body == nil:
			u := p.Unstable[j]
			t.warn(Rendering, &seen.Ref, "%s is new in each render (%s in %s): this deploy sets it, and the "+
				"next one is refused until the chart looks it up or a value pins it", u.Field, u.Functions, u.Call)
		default:
			refused := &RandomError{Ref: seen.Ref, Unstable: p.Unstable[j]}
			if slices.Contains(p.Allow.Rules, unstableRule) {
				p.Review = p.Review.allowing(refused.Error(), p.Allow.Reason)
				continue
			}
			observed[i].Err = refused
		}
	}
}

// isExcepted says that an exception in slipway.yaml accepts a random value.
func isExcepted(t Target, ref object.Ref, u render.Unstable, today string) bool {
	return slices.ContainsFunc(t.Source.Project.Exceptions, func(e project.Exception) bool {
		isFor := e.Object == "" || object.Fits(e.Object, ref, ref.Name) || object.Fits(e.Object, ref, u.Ref.Name)
		return e.Rule == unstableRule && isFor && (e.Field == "" || object.IsWithin(u.Field, e.Field)) &&
			(len(e.Environments) == 0 || slices.Contains(e.Environments, t.Environment.Name)) &&
			(e.Until == "" || e.Until >= today)
	})
}

// isRandom says that a field is one of an object, which Kustomize may have given a namespace and a prefix.
func isRandom(ref object.Ref, u render.Unstable) bool {
	return ref.Group == u.Ref.Group && ref.Kind == u.Ref.Kind && strings.Contains(ref.Name, u.Ref.Name) &&
		!strings.Contains(u.Field, "annotations.") && !strings.Contains(u.Field, "labels.")
}
