package origin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// Link is one override in the chain behind a field.
type Link struct {
	Override
	// Value is the field's as long as nothing stronger is there; nil: it has none.
	Value any
	// Lost says that something stronger is there.
	Lost bool
}

// Chain is why a field is as it is.
type Chain struct {
	Object object.Object // masked
	Field  string
	Value  any
	// Base is where the object is written, the field itself where it is written there, and Found the field's
	// value there.
	Base  finding.Place
	Found any
	Links []Link // the weakest first
	// NotTried is what the budget left over.
	NotTried []Override
}

// More layers than this on top of each other are not looked into.
const maxRounds = 8

// Why gives the chain behind a field of an object; the whole object's where field is empty. It leaves out
// what the field is so because of, looks what then decides, and so on down to the base.
func Why(ctx context.Context, r *render.Renderer, env project.Environment,
	find func([]object.Object) (object.Object, error), field string, o Options) (Chain, error) {
	l, err := newLab(ctx, r, env)
	if err != nil {
		return Chain{}, err
	}
	until := time.Now().Add(defaultBudget)
	if o.Budget > 0 {
		until = time.Now().Add(o.Budget)
	}
	all := l.with.Set.Objects()
	about, err := find(all)
	if err != nil {
		return Chain{}, err
	}
	steps, err := object.Steps(field)
	if err != nil {
		return Chain{}, err
	}
	secrets := object.Forms(l.with.Set.Concealed())
	show := func(o object.Object) any {
		v, _ := object.Value(object.Hide(object.Masked(o), secrets).Body, steps)
		return v
	}
	chain := Chain{Object: object.Hide(object.Masked(about), secrets), Field: field, Value: show(about)}
	if _, ok := object.Value(about.Body, steps); !ok {
		return chain, &NoFieldError{about.Ref(), field}
	}
	var gone, kept []Override
	now, objects := about, all
	for range maxRounds {
		on := ground{gone, objects}
		shared, single := l.together(ctx, l.without(append(slices.Clone(gone), kept...)), until, on)
		effects, left := l.each(ctx, single, until, on)
		effects = append(effects, shared...)
		slices.SortFunc(effects, func(a, b Effect) int { return cmp.Compare(a.rank, b.rank) })
		chain.NotTried = append(chain.NotTried, left...)
		because, needed := l.deciding(ctx, effects, on, now, field)
		if len(because)+len(needed) == 0 {
			break
		}
		kept = append(kept, needed...)
		for _, o := range slices.Backward(slices.Concat(because, needed)) {
			o.Place = l.precise(o, steps)
			chain.Links = append(chain.Links, Link{Override: o, Value: show(now), Lost: len(gone) > 0})
		}
		if len(because) == 0 {
			break
		}
		gone = append(gone, because...)
		if objects, err = l.render(ctx, gone); err != nil {
			break
		}
		i := slices.IndexFunc(objects, func(o object.Object) bool { return same(about, o) })
		if i < 0 {
			i = slices.IndexFunc(objects, func(o object.Object) bool { return renamed(about, o) })
		}
		if i < 0 {
			break
		}
		now = objects[i]
	}
	slices.Reverse(chain.Links)
	chain.Base, _ = Locate(l.view, about.Origin, field)
	chain.Found = show(now)
	return chain, ctx.Err()
}

// deciding are the overrides that a field is so because of, and those of them that cannot be left out. Two
// that say the same hide each other: then it is the one that would change the field if it said something
// else.
func (l *lab) deciding(ctx context.Context, effects []Effect, on ground, o object.Object,
	field string) (because, needed []Override) {
	touch := func(c Change) bool { return c.touches(o.Ref(), field) }
	for _, e := range effects {
		switch {
		case slices.ContainsFunc(e.Changes, touch):
			because = append(because, e.Override)
		case e.Err != nil && l.decides(ctx, e.Override, on, touch):
			needed = append(needed, e.Override)
		}
	}
	if len(because)+len(needed) > 0 {
		return because, needed
	}
	var rest []Override
	for _, e := range effects {
		if e.Err == nil {
			rest = append(rest, e.Override)
		}
	}
	bent := l.bending(ctx, rest, on)
	for _, o := range rest {
		changes, known := bent[o.rank]
		if known && slices.ContainsFunc(changes, touch) || !known && l.decides(ctx, o, on, touch) {
			return []Override{o}, nil
		}
	}
	return nil, nil
}

// decides says whether what is asked for would be different if an override said something else.
func (l *lab) decides(ctx context.Context, o Override, on ground, touch func(Change) bool) bool {
	b := l.bend(o)
	if b == nil {
		return false
	}
	other, err := l.render(ctx, on.gone, b)
	return err == nil && slices.ContainsFunc(differences(on.with, other), touch)
}

// precise is the line of a patch that says a field, where it is written in one.
func (l *lab) precise(o Override, field []object.Step) finding.Place {
	if o.set != nil || o.node == nil || !strings.HasPrefix(strings.ToLower(o.Kind), "patch") || len(field) == 0 {
		return o.Place
	}
	n := o.node.Node
	if in := value(n, "patch"); in != nil {
		var doc yaml.Node
		if yaml.Unmarshal([]byte(in.Value), &doc) == nil && len(doc.Content) > 0 {
			if at, depth := object.Find(doc.Content[0], field); depth == len(field) {
				return finding.Place{File: o.File, Line: in.Line + at.Line}
			}
		}
		return o.Place
	}
	where := text(n)
	if n.Kind == yaml.MappingNode {
		where = text(value(n, "path"))
	}
	if f := l.files[path.Join(path.Dir(o.File), where)]; f != nil {
		if at, depth := object.Find(f.doc.Content[0], field); depth == len(field) {
			return finding.Place{File: f.name, Line: at.Line, Column: at.Column}
		}
	}
	return o.Place
}

// NoFieldError says that an object has no such field.
type NoFieldError struct {
	Ref   object.Ref
	Field string
}

func (e *NoFieldError) Error() string { return fmt.Sprintf("%s has no field %s", e.Ref, e.Field) }

// without are the overrides that are still there.
func (l *lab) without(gone []Override) []Override {
	return slices.DeleteFunc(slices.Clone(l.overrides), func(o Override) bool {
		return slices.ContainsFunc(gone, func(g Override) bool { return g.rank == o.rank })
	})
}

// Locate finds the place of a field in the document that an object was written in, or of what is deepest
// there on the way to it. Whole says that it is the field's own.
func Locate(v *tree.View, at object.Origin, field string) (place finding.Place, whole bool) {
	place = finding.At(at)
	steps, err := object.Steps(field)
	if err != nil || at.Line == 0 {
		return place, false
	}
	doc := document(v, at)
	if doc == nil {
		return place, false
	}
	n, depth := object.Find(doc, steps)
	if depth == 0 {
		return place, false
	}
	return finding.Place{File: at.File, Line: n.Line, Column: n.Column}, depth == len(steps)
}

// document is the one that an object was written in; nil where that cannot be read.
func document(v *tree.View, at object.Origin) *yaml.Node {
	text, err := v.File(at.File)
	if err != nil || at.Line == 0 {
		return nil
	}
	var doc *yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var next yaml.Node
		switch err := d.Decode(&next); {
		case errors.Is(err, io.EOF):
			return doc
		case err != nil:
			return nil
		case len(next.Content) == 0 || next.Content[0].Line > at.Line:
			return doc
		}
		doc = next.Content[0]
	}
}
