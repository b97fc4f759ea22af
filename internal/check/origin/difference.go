package origin

import (
	"slices"
	"strings"

	"slipway/internal/object"
)

// Change is an object that two renders of one source do not have alike.
type Change struct {
	// Ref is the object's with everything in place. An object that is only there without an override has
	// its name there.
	Ref    object.Ref     `json:"ref"`
	Fields []object.Field `json:"fields"` // Before is with everything in place; none: the whole object

	origin object.Origin
}

// differences returns the objects that differ between two renders of one source.
func differences(with, without []object.Object) []Change {
	var changes []Change
	left := slices.Clone(without)
	for _, isMatch := range matchers {
		var unmatched []object.Object
		for _, o := range with {
			i := slices.IndexFunc(left, func(other object.Object) bool { return isMatch(o, other) })
			if i < 0 {
				unmatched = append(unmatched, o)
				continue
			}
			other := left[i]
			left = slices.Delete(left, i, i+1)
			fields := pairRenamed(object.Differences(o.Body, other.Body, object.Shown{}, false))
			if len(fields) > 0 {
				changes = append(changes, Change{o.Ref(), fields, o.Origin})
			}
		}
		with = unmatched
	}
	for _, o := range append(with, left...) {
		changes = append(changes, Change{Ref: o.Ref(), origin: o.Origin})
	}
	return changes
}

// matchers tell whether two renders have an object in common, the most certain first.
var matchers = []func(a, b object.Object) bool{isSame, isRenamed, isOfPlace}

// isOfPlace reports whether two objects are written in one place, whatever their kinds.
func isOfPlace(a, b object.Object) bool { return a.Origin.Line != 0 && a.Origin == b.Origin }

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

// isRenamed reports whether two objects without a line of their own come from one template.
func isRenamed(a, b object.Object) bool {
	return a.Origin == b.Origin && a.Ref().Kind == b.Ref().Kind && a.Ref().Group == b.Ref().Group
}

// isSame reports whether two objects are written in one place, whatever their names. Several objects of one
// place come in the same order in both renders.
func isSame(a, b object.Object) bool {
	ra, rb := a.Ref(), b.Ref()
	if a.Origin != b.Origin || ra.Kind != rb.Kind || ra.Group != rb.Group {
		return false
	}
	return a.Origin.Line != 0 || ra.Name == rb.Name
}
