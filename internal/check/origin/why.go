package origin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Question names the field whose origin is asked for.
type Question struct {
	// Object is KIND/NAME, as object.Named takes it. The name is the rendered one, or the one before a base or
	// overlay added to it.
	Object string
	// Field is a path as object.Steps takes it; empty: the whole object.
	Field string
}

// Chain is why a field has its value. Secrets are masked.
type Chain struct {
	Object object.Ref `json:"object"`
	Field  string     `json:"field,omitempty"`
	Value  any        `json:"value"`
	// Written is how the file that decides it spells the value, where that is not the usual way: 1.50, 0644.
	Written string `json:"written,omitempty"`
	// Links begins with the place where the object is written, the field's own if it is written there. The
	// overrides follow, the weakest first.
	Links []Link `json:"chain"`
	// Unexplained: the place where the field is written says something else, and no override explains why.
	Unexplained bool `json:"unexplained,omitempty"`
	// NotTried are the overrides that the budget did not reach.
	NotTried []string `json:"notTried,omitempty"`
}

// Link is one place in the chain behind a field.
type Link struct {
	finding.Place
	// Override is empty for the place where the object is written.
	Override string `json:"override,omitempty"`
	// Value is what the field is without anything stronger; nil: it has no value then.
	Value   any    `json:"value"`
	Written string `json:"written,omitempty"`
	// Lost: something stronger hides it.
	Lost bool `json:"lost,omitempty"`
	// Condition: the field is there because of this switch, which does not say its value.
	Condition bool `json:"condition,omitempty"`
}

// maxLayers bounds how many layers of overrides are removed from a field.
const maxLayers = 8

// Explain is Why with a renderer of the project.
func Explain(
	ctx context.Context, p project.Project, env project.Environment, q Question, o render.Options,
) (Chain, error) {
	r, err := render.OpenProject(p, o)
	if err != nil {
		return Chain{}, err
	}
	defer r.Close()
	return Why(ctx, r, env, q, Options{})
}

// Why returns the chain behind a field. It leaves out what decides the field, looks what then decides it, and
// so on down to the place where the object is written. It fails with a *NoObjectError or a *NoFieldError
// where there is nothing to explain.
func Why(
	ctx context.Context, r *render.Renderer, env project.Environment, q Question, o Options,
) (Chain, error) {
	x, err := newExperiment(ctx, r, env, o)
	if err != nil {
		return Chain{}, err
	}
	objects := x.result.Set.Objects()
	asked, err := find(objects, q.Object, env)
	if err != nil {
		return Chain{}, err
	}
	field, steps, err := fieldOf(asked, q.Field)
	if err != nil {
		return Chain{}, err
	}
	x.only = func(p *render.Part) bool { _, ok := p.Get(asked.Ref()); return ok }
	return explain(ctx, narrowed(ctx, x, places{asked.Origin: true}), part{asked, field}, steps), ctx.Err()
}

// explain finds the chain behind a part, whose field has these steps.
func explain(ctx context.Context, x experiment, asked part, steps []object.Step) Chain {
	secrets := object.Forms(x.result.Set.Concealed())
	show := func(o object.Object) any {
		path := follow(asked.Body, o.Body, steps)
		v, _ := object.Value(object.Hide(object.Masked(o), secrets).Body, path)
		return v
	}
	ref := object.Hide(object.Masked(asked.Object), secrets).Ref()
	chain := Chain{Object: ref, Field: asked.field, Value: show(asked.Object)}
	now, base := asked, x.whole()
	var needed []Override // decide the field, but cannot be removed
	var stuck []Override  // may decide it: they can neither be removed nor say something else
	var switches []Override
	for range maxLayers {
		concerned := reaching(x, without(x.overrides, base.removed, needed), base, now)
		effects, left := remove(ctx, x, concerned, base)
		because, fixed, rest := deciding(ctx, x, effects, base, now)
		var switched []Override
		because, switched = apartSwitches(because, effects, now)
		switches = append(switches, switched...)
		needed = append(needed, switched...)
		stuck = without(failed(effects), fixed)
		for _, o := range slices.Concat(left, rest) {
			chain.NotTried = append(chain.NotTried, o.String())
		}
		for _, o := range slices.Backward(slices.Concat(because, fixed)) {
			lost := len(base.removed) > 0
			chain.Links = append(chain.Links, linkOf(o, steps, show(now.Object), lost))
		}
		if len(because) == 0 {
			break
		}
		needed = append(needed, fixed...)
		parts, err := renderWith(ctx, x, base, because)
		if err != nil {
			break
		}
		before, ok := counterpart(asked.Object, objectsOf(parts))
		if !ok {
			break
		}
		base = baseline{append(base.removed, because...), parts}
		now.Object = before
		if named, err := object.Canonical(now.Body, follow(asked.Body, now.Body, steps)); err == nil {
			now.field = named
		}
	}
	place := placeIn(x.view, now.Object, asked.Origin, now.field)
	if place.Line == 0 {
		place = templatePlace(ctx, x, base, now)
	}
	nowSteps := follow(asked.Body, now.Body, steps)
	link := Link{Place: place, Value: show(now.Object), Lost: len(chain.Links) > 0}
	link.Written = written(x.view, now.Object, asked.Origin, nowSteps, link.Value)
	if says, ok := contradicts(x.view, now.Object, asked.Origin, nowSteps); ok {
		for _, o := range slices.Backward(stuck) {
			chain.Links = append(chain.Links, linkOf(o, steps, show(now.Object), link.Lost))
		}
		chain.Unexplained = len(chain.Links) == 0
		link.Lost, link.Value = true, object.HideIn(says, secrets)
		link.Written = written(x.view, now.Object, asked.Origin, nowSteps, link.Value)
	}
	chain.Links = append(chain.Links, link)
	for _, o := range slices.Backward(switches) {
		condition := linkOf(o, steps, show(now.Object), false)
		condition.Condition = true
		chain.Links = append(chain.Links, condition)
	}
	slices.Reverse(chain.Links)
	if last := chain.Links[len(chain.Links)-1]; !last.Lost {
		chain.Written = last.Written
	}
	return chain
}

// apartSwitches takes from the overrides that decide a part those that only say whether it is there: what
// they say is true or false, the part is something else, and it is gone without them.
func apartSwitches(because []Override, effects []Effect, p part) (others, switches []Override) {
	steps, err := object.Steps(p.field)
	if value, _ := object.Value(p.Body, steps); err != nil || isSwitch(fmt.Sprint(value)) || p.isNested() {
		return because, nil
	}
	for _, o := range because {
		at := slices.IndexFunc(effects, func(e Effect) bool { return e.rank == o.rank })
		if at >= 0 && isSwitch(o.Text) && p.isGone(effects[at].Changes) {
			switches = append(switches, o)
		} else {
			others = append(others, o)
		}
	}
	return others, switches
}

func isSwitch(text string) bool { return text == "true" || text == "false" }

// isGone reports whether changes take the part away.
func (p part) isGone(changes []Change) bool {
	return slices.ContainsFunc(p.changed(changes), func(c Change) bool {
		return len(c.Fields) == 0 || slices.ContainsFunc(c.Fields, func(f object.Field) bool {
			return f.After == nil && isPart(p.Body, p.field, f.Path)
		})
	})
}

func linkOf(o Override, field []object.Step, value any, lost bool) Link {
	return Link{
		Place: preciseOf(o, field), Override: o.Name, Value: value, Written: o.written(field, value), Lost: lost,
	}
}

// reaching returns the overrides that can change a part.
func reaching(x experiment, asked []Override, base baseline, p part) []Override {
	c := concernOf(x, p)
	return slices.DeleteFunc(asked, func(a Override) bool {
		return !c.may(a) || !reachOf(x, a, base.parts).places[p.Origin]
	})
}

// counterpart finds the object that another render has in place of this one.
func counterpart(o object.Object, objects []object.Object) (object.Object, bool) {
	for _, identify := range identities {
		i := slices.IndexFunc(objects, func(other object.Object) bool { return identify(o) == identify(other) })
		if i >= 0 {
			return objects[i], true
		}
	}
	return object.Object{}, false
}

// failed returns the overrides without which nothing renders.
func failed(effects []Effect) (list []Override) {
	for _, e := range effects {
		if e.Err != nil {
			list = append(list, e.Override)
		}
	}
	return list
}

// without returns the overrides that are in none of the other lists.
func without(all []Override, others ...[]Override) []Override {
	ranks := map[int]bool{}
	for _, o := range slices.Concat(others...) {
		ranks[o.rank] = true
	}
	isOther := func(o Override) bool { return ranks[o.rank] }
	return slices.DeleteFunc(slices.Clone(all), isOther)
}

// part is the object or field whose origin is looked for.
type part struct {
	object.Object
	field string
}

// changed returns the changes of the part's object that concern the part.
func (p part) changed(changes []Change) []Change {
	ref := p.Ref()
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool {
		return c.Ref != ref || !touches(c, p.Body, p.field)
	})
}

// addsTo reports whether a change concerns a value of the part that none of the others does.
func (p part) addsTo(others []Change, c Change) bool {
	return len(c.Fields)+len(others) == 0 || slices.ContainsFunc(c.Fields, func(f object.Field) bool {
		isAsked := isPart(p.Body, f.Path, p.field) || isPart(p.Body, p.field, f.Path)
		isKnown := func(other Change) bool { return touches(other, p.Body, f.Path) }
		return f.Before != nil && isAsked && !slices.ContainsFunc(others, isKnown)
	})
}

// deciding returns the overrides that decide a part, and in fixed those of them that cannot be left out. Two
// that say the same hide each other: then it is the one that would change a value if it said something else.
// The budget did not reach those that are left.
func deciding(
	ctx context.Context, x experiment, effects []Effect, base baseline, p part,
) (because, fixed, left []Override) {
	var idle []Override
	var known []Change
	for _, e := range effects {
		if changes := p.changed(e.Changes); len(changes) > 0 {
			because, known = append(because, e.Override), append(known, changes...)
		} else if e.Err == nil {
			idle = append(idle, e.Override)
		} else if m, _ := mutateEach(ctx, x, []Override{e.Override}, base); len(m) > 0 {
			if changes := p.changed(m[0].Changes); len(changes) > 0 {
				fixed, known = append(fixed, e.Override), append(known, changes...)
			}
		}
	}
	if len(known) > 0 && !p.isNested() {
		return because, fixed, nil
	}
	mutated, left := mutateEach(ctx, x, idle, base)
	for _, e := range mutated {
		changes := p.changed(e.Changes)
		if slices.ContainsFunc(changes, func(c Change) bool { return p.addsTo(known, c) }) {
			because, known = append(because, e.Override), append(known, changes...)
		}
	}
	slices.SortFunc(because, func(a, b Override) int { return cmp.Compare(a.rank, b.rank) })
	return because, fixed, left
}

// isNested reports whether the part has parts of its own.
func (p part) isNested() bool {
	steps, _ := object.Steps(p.field)
	switch v, _ := object.Value(p.Body, steps); v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// preciseOf is the line of a patch that sets a field, where the patch names the field; else the override's
// place.
func preciseOf(o Override, field []object.Step) finding.Place {
	if o.patch == nil || len(field) == 0 {
		return o.Place
	}
	n, depth := object.Find(o.patch.doc.Content[0], field)
	if depth != len(field) {
		return o.Place
	}
	return placeOf(o.patch.file, n, o.patch.inside)
}
