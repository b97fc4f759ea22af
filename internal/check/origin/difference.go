package origin

import (
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/render"
)

// Change is an object that two renders of one source do not have alike.
type Change struct {
	// Ref is the object's with everything in place. An object that is only there without an override has
	// its name there.
	Ref    object.Ref     `json:"ref"`
	Fields []object.Field `json:"fields"` // Before is with everything in place; none: the whole object

	origin object.Origin
}

// differences returns the objects that differ between two renders of one source. A part that both share is
// not looked at.
func differences(with, without []*render.Part) []Change {
	if len(with) != len(without) { // of a skaffold.yaml that names other things
		return compare(objectsOf(with), objectsOf(without))
	}
	var changes []Change
	for i := range with {
		if with[i] != without[i] {
			changes = append(changes, compare(objectsOf(with[i:i+1]), objectsOf(without[i:i+1]))...)
		}
	}
	return changes
}

// objectsOf returns the objects of parts. Two parts may bring the same one.
func objectsOf(parts []*render.Part) []object.Object {
	var all []object.Object
	for _, p := range parts {
		if p != nil {
			all = append(all, p.Objects()...)
		}
	}
	return all
}

// objectID is what is equal in both renders of one object.
type objectID struct {
	at          object.Origin
	kind, group string
	name        string // where no line tells objects apart
}

// sameObject is the identity of objects that are written in one place, whatever their names. Several of one
// place come in the same order in both renders.
func sameObject(o object.Object) objectID {
	r := o.Ref()
	id := objectID{at: o.Origin, kind: r.Kind, group: r.Group}
	if o.Origin.Line == 0 {
		id.name = r.Name
	}
	return id
}

// renamedObject is the identity of objects without a line of their own that come from one template.
func renamedObject(o object.Object) objectID {
	r := o.Ref()
	return objectID{at: o.Origin, kind: r.Kind, group: r.Group}
}

// placedObject is the identity of objects that are written in one place, whatever their kinds.
func placedObject(o object.Object) objectID {
	if o.Origin.Line == 0 {
		return renamedObject(o)
	}
	return objectID{at: o.Origin}
}

// identities tell whether two renders have an object in common, the most certain first.
var identities = []func(object.Object) objectID{sameObject, renamedObject, placedObject}

func compare(with, without []object.Object) []Change {
	var changes []Change
	for _, identify := range identities {
		left := map[objectID][]object.Object{}
		for _, o := range without {
			id := identify(o)
			left[id] = append(left[id], o)
		}
		var unmatched []object.Object
		for _, o := range with {
			id := identify(o)
			if len(left[id]) == 0 {
				unmatched = append(unmatched, o)
				continue
			}
			other := left[id][0]
			left[id] = left[id][1:]
			fields := pairRenamed(object.Differences(o.Body, other.Body, object.Shown{}, false))
			if len(fields) > 0 {
				changes = append(changes, Change{o.Ref(), fields, o.Origin})
			}
		}
		with, without = unmatched, remaining(without, left, identify)
	}
	for _, o := range slices.Concat(with, without) {
		changes = append(changes, Change{Ref: o.Ref(), origin: o.Origin})
	}
	return changes
}

// remaining returns the objects that are left, in their order: of each identity the last ones.
func remaining(all []object.Object, left map[objectID][]object.Object,
	identify func(object.Object) objectID) []object.Object {
	skip := map[objectID]int{}
	for _, o := range all {
		skip[identify(o)]++
	}
	for id, list := range left {
		skip[id] -= len(list)
	}
	var rest []object.Object
	for _, o := range all {
		id := identify(o)
		if skip[id] > 0 {
			skip[id]--
			continue
		}
		rest = append(rest, o)
	}
	return rest
}

// pairRenamed compares elements of a list of which one render has other keys, in their order: where a patch
// changes the host of a rule, the rest of the rule stays the same.
func pairRenamed(fields []object.Field) []object.Field {
	gone, come := map[string][]object.Field{}, map[string][]object.Field{}
	for _, f := range fields {
		_, isWhole := f.Before.(map[string]any)
		_, isNew := f.After.(map[string]any)
		switch list := listOf(f.Path); {
		case list == "":
		case isWhole && f.After == nil:
			gone[list] = append(gone[list], f)
		case isNew && f.Before == nil:
			come[list] = append(come[list], f)
		}
	}
	var all []object.Field
	for _, f := range fields {
		list := listOf(f.Path)
		if list == "" || len(gone[list]) != len(come[list]) || len(gone[list]) == 0 {
			all = append(all, f)
			continue
		}
		i := slices.IndexFunc(gone[list], func(g object.Field) bool { return g.Path == f.Path })
		if i < 0 {
			if f.Before != nil || f.After == nil {
				all = append(all, f)
			}
			continue
		}
		for _, below := range object.Differences(f.Before, come[list][i].After, object.Shown{}, false) {
			if below.Path = f.Path + "." + below.Path; below.Path[len(f.Path)+1] == '[' {
				below.Path = f.Path + below.Path[len(f.Path)+1:]
			}
			all = append(all, below)
		}
	}
	return all
}

// listOf is the path of the list that a path is an element of; empty: it is none.
func listOf(path string) string {
	i := strings.LastIndexByte(path, '[')
	if i < 0 || !strings.HasSuffix(path, "]") || strings.HasPrefix(path[i:], `["`) {
		return ""
	}
	return path[:i]
}

// follow returns the steps to the same place of an object in another render. An element that has another key
// there is taken by its position, where both lists are as long.
func follow(asked, other any, steps []object.Step) []object.Step {
	out := slices.Clone(steps)
	for i, s := range steps {
		_, found := object.Value(other, out[i:i+1])
		mine, _ := asked.([]any)
		if theirs, _ := other.([]any); !found && s.Element && len(mine) == len(theirs) {
			out[i] = object.Positions(asked, steps[i:i+1])[0]
		}
		asked, _ = object.Value(asked, steps[i:i+1])
		other, _ = object.Value(other, out[i:i+1])
	}
	return out
}
