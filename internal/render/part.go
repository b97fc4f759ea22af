package render

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// Part is what one overlay, directory, file pattern or chart of an environment renders to. Parts do not
// depend on each other, and none is changed after it has been rendered.
type Part struct {
	// Reads is everything that the part was rendered from.
	Reads tree.Reads
	// Selections are what the entries of its kustomizations were applied to.
	Selections []kustomize.Selection

	unit     unit
	set      object.Set
	warnings []string
	losses   []object.Loss
	leftOut  []object.Ref
	unstable []Unstable
}

// Objects returns the objects of the part. The slice is a copy, the bodies are not.
func (p *Part) Objects() []object.Object { return p.set.Objects() }

// Len returns the number of objects.
func (p *Part) Len() int { return p.set.Len() }

// Get returns the part's object with that Ref.
func (p *Part) Get(r object.Ref) (object.Object, bool) { return p.set.Get(r) }

// unit names what a part is rendered from: exactly one of a path of the environment, a pattern of files, an
// overlay, and a chart.
type unit struct {
	path, pattern, overlay string
	unrestricted           bool // the overlay may read single files from anywhere
	chart                  *project.Chart
	inline                 map[string]any // weaker than the chart's own values
	namespace              string         // for objects that have none; only Skaffold sets it
	name                   string         // of the unit, or of its configuration, in messages
	index                  int            // of the path, or of the configuration in the skaffold.yaml
	warnings               []string       // about the file that names it
}

// plan is what an environment is rendered from. The reads are those that it took to find that out.
type plan struct {
	skaffold []unit
	reads    tree.Reads
	others   []unit
}

func (p plan) units() []unit {
	return append(p.skaffold[:len(p.skaffold):len(p.skaffold)], p.others...)
}

// plan finds the units of the environment. The skaffold.yaml is not resolved again where the view shows what
// a known plan was made from.
func (s *source) plan(known *plan) (plan, error) {
	var p plan
	for _, a := range s.env.Absent {
		if err := s.absent(a); err != nil {
			return p, err
		}
	}
	switch {
	case s.env.Skaffold == nil && len(s.env.Paths) == 0 && len(s.env.Charts) == 0:
		return p, fmt.Errorf("the environment has no path and no charts")
	case s.env.Skaffold != nil && known != nil && s.view.Shows(known.reads):
		p.skaffold, p.reads = known.skaffold, known.reads
	case s.env.Skaffold != nil:
		var err error
		p.reads, err = s.view.Part(func(v *tree.View) (err error) {
			p.skaffold, err = s.skaffold(v, *s.env.Skaffold)
			return err
		})
		if err != nil {
			return p, err
		}
	}
	for _, c := range s.env.Charts {
		p.others = append(p.others, unit{chart: &c, name: s.env.Name})
	}
	for i, path := range s.env.Paths {
		p.others = append(p.others, unit{path: path, name: path, index: i})
	}
	return p, nil
}

// absent fails for a path that the project file names, where nothing stands in for it.
func (s *source) absent(a project.AbsentError) error {
	if a.Directory {
		return &object.ReadError{File: project.File, Line: a.Line, Err: &a}
	}
	if _, err := s.view.File(a.Path); err != nil {
		return &object.ReadError{File: project.File, Line: a.Line, Err: fmt.Errorf("%s: %w", a.What, err)}
	}
	return nil
}

// part renders one unit.
func (s *source) part(u unit) (*Part, error) {
	p := &piece{source: s, Part: &Part{unit: u}}
	s.partsRendered.Add(1)
	var err error
	p.Reads, err = s.view.Part(func(v *tree.View) error {
		p.view = v
		switch {
		case u.chart != nil:
			return p.chart(*u.chart, u.inline)
		case u.overlay != "":
			return p.overlay(u.overlay, kustomize.Options{LoadRestrictionsNone: u.unrestricted})
		case u.pattern != "":
			return p.pattern(u.pattern)
		}
		if u.path != "" {
			return p.path(u.path)
		}
		return nil // its configuration has only warnings
	})
	return p.Part, err
}

// Again renders the environment of a result once more, with other texts for some files, and with other
// charts where env has them. It returns a part for each of before.Parts, the same one where neither the
// edits nor env concern it, or one of known. Only selects the parts to return, nil: all; the others are
// nil. The order of the parts does not change, but a skaffold.yaml that is edited may have more or less of
// them.
func (r *Renderer) Again(ctx context.Context, before Result, env project.Environment, edits map[string][]byte,
	known []*Part, only func(*Part) bool) ([]*Part, error) {
	r.renders.Add(1)
	parts, err := bounded(ctx, func(ctx context.Context) ([]*Part, error) {
		s := source{Renderer: r, view: r.tree.Edited(ctx, edits), env: env}
		p, err := s.plan(&before.plan)
		if err != nil {
			return nil, err
		}
		units := p.units()
		parts := make([]*Part, len(units))
		for i, u := range units {
			if i < len(before.Parts) && only != nil && !only(before.Parts[i]) {
				continue
			}
			if parts[i] = s.known(i, u, before.Parts, known); parts[i] != nil {
				continue
			}
			if parts[i], err = s.part(u); err != nil {
				return nil, err
			}
		}
		return parts, s.conflict(before, parts)
	})
	if err != nil {
		return nil, &Error{Environment: env.Name, Err: err}
	}
	return parts, nil
}

// Narrowed renders the overlays among some parts of a result again, with no other objects than those written
// at some places, and generated ones: see kustomize.Builder.Narrowed. The result has these parts in place of
// its own, and the Renderer renders it again in the same way. Only selects the parts.
func (r *Renderer) Narrowed(ctx context.Context, before Result, env project.Environment,
	to func(object.Origin) bool, only func(*Part) bool) (*Renderer, Result, error) {
	narrowed := *r
	narrowed.kustomize = r.kustomize.Narrowed(to)
	parts, err := bounded(ctx, func(ctx context.Context) ([]*Part, error) {
		s := source{Renderer: &narrowed, view: r.tree.View(ctx), env: env}
		parts := slices.Clone(before.Parts)
		for i, p := range parts {
			if p.unit.chart != nil || only != nil && !only(p) {
				continue
			}
			var err error
			if parts[i], err = s.part(p.unit); err != nil {
				return nil, err
			}
		}
		return parts, nil
	})
	before.Parts = parts
	return &narrowed, before, err
}

// known finds a part that was rendered from the same unit and the same files.
func (s *source) known(i int, u unit, lists ...[]*Part) *Part {
	for _, list := range lists {
		if i < len(list) && list[i] != nil && s.view.Shows(list[i].Reads) && reflect.DeepEqual(list[i].unit, u) {
			return list[i]
		}
	}
	return nil
}

// conflict fails where two parts have different objects with one Ref, of which at least one has changed.
func (s *source) conflict(before Result, parts []*Part) error {
	first := map[object.Ref]int{}
	for i, p := range parts {
		if p == nil || i < len(before.Parts) && p == before.Parts[i] {
			continue
		}
		for _, o := range p.set.Objects() {
			ref := o.Ref()
			others := before.owners[ref]
			if j, ok := first[ref]; ok {
				others = append([]int{j}, others...)
			}
			first[ref] = i
			for _, j := range others {
				if err := s.sameIn(before.Parts, parts, i, j, o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// sameIn fails where part j has another object with the Ref of o, which is in part i.
func (s *source) sameIn(before, parts []*Part, i, j int, o object.Object) error {
	if i == j || j >= len(parts) {
		return nil
	}
	p := parts[j]
	if p == nil { // left out: it is as before, or unknown
		if p = before[j]; !s.view.Shows(p.Reads) {
			return nil
		}
	}
	other, ok := p.set.Get(o.Ref())
	if !ok || isShared(p.unit, other, parts[i].unit, o) {
		return nil
	}
	return &object.DuplicateError{Ref: o.Ref(), First: other.Origin, Second: o.Origin}
}

// isShared reports whether two parts bring one object: services that are deployed one by one may each bring
// the object that they share.
func isShared(ua unit, a object.Object, ub unit, b object.Object) bool {
	return ua.index != ub.index && reflect.DeepEqual(a.Body, b.Body)
}

// Named returns the paths that an environment is rendered from, as its project file and skaffold.yaml name
// them: directories, files, charts and files of values. An error is an *Error.
func (r *Renderer) Named(ctx context.Context, env project.Environment) ([]string, error) {
	s := source{Renderer: r, view: r.tree.View(ctx), env: env}
	p, err := s.plan(nil)
	if err != nil {
		return nil, &Error{Environment: env.Name, Err: err}
	}
	var names []string
	for _, u := range p.units() {
		dir, _, _ := strings.Cut(u.pattern, "*")
		names = append(names, u.path, u.overlay, dir)
		if u.chart != nil {
			names = append(append(names, u.chart.Path, u.chart.Patches), u.chart.Values...)
		}
	}
	for i, name := range names {
		if names[i] = path.Clean(name); name == "" {
			names[i] = ""
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" }), nil
}
