package origin

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"

	"slipway/internal/object"
	"slipway/internal/render"
)

// places are where objects are written.
type places map[object.Origin]bool

func (p places) add(list ...object.Origin) {
	for _, at := range list {
		p[at] = true
	}
}

func (p places) overlaps(other places) bool {
	if len(other) < len(p) {
		p, other = other, p
	}
	for at := range p {
		if other[at] {
			return true
		}
	}
	return false
}

// narrowed is an experiment with the objects of some places alone, where these render to the same.
func narrowed(ctx context.Context, x experiment, to places) experiment {
	if x.tangled {
		return x
	}
	n := x
	var err error
	wanted := func(at object.Origin) bool { return to[at] }
	n.renderer, n.result, err = x.renderer.Narrowed(ctx, x.result, x.env, wanted, x.only)
	if err != nil {
		return x
	}
	others := func(o object.Object) bool { return !to[o.Origin] }
	whole := slices.DeleteFunc(objectsOf(x.whole().parts), others)
	narrow := slices.DeleteFunc(objectsOf(n.whole().parts), others)
	same := func(a, b object.Object) bool {
		return sameObject(a) == sameObject(b) && reflect.DeepEqual(a.Body, b.Body)
	}
	if !slices.EqualFunc(whole, narrow, same) {
		return x
	}
	return n
}

// reach is the most that an override can change: objects by their places, and the parts of the environment
// that they are in. None: the override matches nothing.
type reach struct {
	places places
	parts  []int
}

// surveys knows what the entries of kustomizations were applied to, for each part of an environment.
type surveys struct {
	mu    sync.Mutex
	parts map[*render.Part]*survey
}

// survey is about one part.
type survey struct {
	selected map[object.Origin][]object.Origin // by the file and line of the entry
	all      []object.Origin
	// referring are the places of the objects that mention a ConfigMap or Secret, by its place: the name of a
	// generated one changes with its content.
	referring map[object.Origin][]object.Origin
}

func (s *surveys) of(p *render.Part) *survey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.parts[p]; v != nil {
		return v
	}
	v := &survey{selected: map[object.Origin][]object.Origin{}, referring: map[object.Origin][]object.Origin{}}
	for _, sel := range p.Selections {
		v.selected[sel.At] = append(v.selected[sel.At], sel.Objects...)
		if v.selected[sel.At] == nil {
			v.selected[sel.At] = []object.Origin{}
		}
	}
	named := map[string][]object.Origin{}
	for _, o := range p.Objects() {
		v.all = append(v.all, o.Origin)
		if r := o.Ref(); r.Kind == "ConfigMap" || r.Kind == "Secret" {
			named[r.Name] = append(named[r.Name], o.Origin)
		}
	}
	for _, o := range p.Objects() {
		visitTexts(o.Body, func(text string) {
			for _, at := range named[text] {
				v.referring[at] = append(v.referring[at], o.Origin)
			}
		})
	}
	s.parts[p] = v
	return v
}

func visitTexts(v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		visit(v)
	case map[string]any:
		for _, below := range v {
			visitTexts(below, visit)
		}
	case []any:
		for _, below := range v {
			visitTexts(below, visit)
		}
	}
}

// reachOf returns the most that an override can change in an environment that renders to these parts.
func reachOf(x experiment, o Override, parts []*render.Part) reach {
	r := reach{places: places{}}
	for i, p := range parts {
		if p == nil || !x.isRead(o, p) {
			continue
		}
		v := x.surveys.of(p)
		selected, known := []object.Origin(nil), false
		if o.entry != nil && !x.tangled && !movesNames(o) {
			selected, known = v.selected[object.Origin{File: o.entry.file.name, Line: o.entry.node.Line}]
		}
		if !known {
			selected = v.all
		}
		if !known || len(selected) > 0 {
			r.parts = append(r.parts, i)
		}
		r.places.add(selected...)
		for _, at := range selected {
			r.places.add(v.referring[at]...)
		}
	}
	return r
}

// movesNames reports whether objects that an override is not for may change with it: those that refer to one
// whose name it changes.
func movesNames(o Override) bool {
	return slices.Contains([]string{"nameprefix", "namesuffix", "namespace"}, strings.ToLower(o.Kind))
}

// isRead reports whether a part is rendered from the file of an override, or from what that file names.
func (x experiment) isRead(o Override, p *render.Part) bool {
	if o.flag != nil || x.outside[o.file.name] {
		return true // a setting in the project file, or in a skaffold.yaml
	}
	return p.Reads.Has(o.file.name)
}

// filesOutside returns the files of overrides that no part reads: those that say what the parts are.
func filesOutside(all []Override, parts []*render.Part) map[string]bool {
	outside := map[string]bool{}
	for _, o := range all {
		if o.file == nil {
			continue
		}
		if _, known := outside[o.file.name]; !known {
			reads := func(p *render.Part) bool { return p.Reads.Has(o.file.name) }
			outside[o.file.name] = !slices.ContainsFunc(parts, reads)
		}
	}
	return outside
}

// isSelective reports whether an override may match an object only because of what another override says
// about that object.
func isSelective(o Override) bool {
	if o.entry == nil {
		return true
	}
	target := value(o.entry.node, "target")
	for _, key := range []string{"labelSelector", "annotationSelector", "namespace"} {
		if value(target, key) != nil {
			return true
		}
	}
	return strings.EqualFold(o.Kind, "images") && !plainImage.MatchString(text(value(o.node.Node, "name")))
}

// imageNames are the names by which entries of images depend on each other: those that they match and give.
func imageNames(o Override) []string {
	if !strings.EqualFold(o.Kind, "images") {
		return nil
	}
	names := []string{text(value(o.node.Node, "name"))}
	if n := text(value(o.node.Node, "newName")); n != "" {
		names = append(names, n)
	}
	return names
}

// isPatch reports whether an override is a patch, or an operation of one.
func isPatch(o Override) bool {
	return strings.HasPrefix(strings.ToLower(o.Kind), "patch") || o.Kind == "operation"
}
