// Package origin explains why an environment's objects are as they are: it renders the environment again with
// one override left out, and attributes to that override whatever changes. An override is dead where nothing
// changes. It knows where each format keeps its overrides, but not what they mean.
package origin

import (
	"context"
	"fmt"
	"reflect"
	"slices"
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

	node  *node
	file  *file
	entry *entry // nil: not part of a kustomization's entry
	patch *patch
	flag  *chartFlag
	rank  int // the later the stronger, among overrides of one kind
}

func (o Override) String() string { return fmt.Sprintf("%s: %s", o.Place, o.Name) }

// Effect is what an override does in an environment.
type Effect struct {
	Override
	Changes []Change // none: it does nothing
	// Err is why the environment does not render without it.
	Err error
}

// Options bound the work.
type Options struct {
	// Budget is how long renders may be started; 0: ten seconds. Work is how many objects they may make
	// together; 0: 300,000.
	Budget time.Duration
	Work   int
	// Only selects the overrides to try; nil: all but a chart's own defaults and settings of the build.
	Only func(Override) bool
	// Suspects: of these, only overrides that seem to be without an effect whatever they say, as far as that
	// can be told without a render: entries of images that match no object, values that no template mentions.
	Suspects bool
	// Rendered is the environment as the caller rendered it; nil: it is rendered here.
	Rendered *render.Result
}

// Report is what the overrides of an environment do.
type Report struct {
	Set     object.Set
	Effects []Effect
	// NotTried are the overrides that the budget did not reach, and Several the files with several
	// documents, whose overrides are not tried.
	NotTried []Override
	Several  []string
	// Limit is what the budget was: "more than 10s", "more than 300000 rendered objects".
	Limit fmt.Stringer

	experiment experiment
}

// Analyze renders the environment without each of its overrides and reports what each does.
func Analyze(
	ctx context.Context, r *render.Renderer, env project.Environment, options Options,
) (*Report, error) {
	x, err := newExperiment(ctx, r, env, options)
	if err != nil {
		return nil, err
	}
	only := options.Only
	if only == nil {
		only = func(o Override) bool { return !o.isDefault() && o.Kind != settings }
	}
	asked := slices.DeleteFunc(slices.Clone(x.overrides), func(o Override) bool {
		return !only(o) || options.Suspects && !isSuspect(x, o)
	})
	report := &Report{Set: x.result.Set, Several: x.several, Limit: x.budget, experiment: x}
	report.Effects, report.NotTried = remove(ctx, x, asked, x.whole())
	return report, ctx.Err()
}

// Because returns the overrides that decide a field, the weakest first. Fields below the given one count, and
// those that contain it.
func (r *Report) Because(ref object.Ref, field string) []Override {
	o, _ := r.Set.Get(ref)
	var list []Override
	for _, e := range r.Effects {
		concerns := func(c Change) bool { return c.Ref == ref && touches(c, o.Body, field) }
		if slices.ContainsFunc(e.Changes, concerns) {
			list = append(list, e.Override)
		}
	}
	return list
}

// touches reports whether a change of an object concerns one of its fields. The body is the object's with
// everything in place.
func touches(c Change, body map[string]any, field string) bool {
	return len(c.Fields) == 0 || field == "" || slices.ContainsFunc(c.Fields, func(f object.Field) bool {
		return isPart(body, f.Path, field) || isPart(body, field, f.Path) && differsAt(f, field)
	})
}

// isPart reports whether a field equals another or is below it, however the two are spelled.
func isPart(body map[string]any, field, above string) bool {
	if object.IsWithin(field, above) {
		return true
	}
	long, err := object.Steps(field)
	short, errAbove := object.Steps(above)
	if err != nil || errAbove != nil || len(long) < len(short) {
		return false
	}
	same := func(a, b object.Step) bool { return reflect.DeepEqual(a, b) }
	return slices.EqualFunc(object.Positions(body, long[:len(short)]), object.Positions(body, short), same)
}

// differsAt reports whether a field that changed as a whole changed in one of its parts.
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
