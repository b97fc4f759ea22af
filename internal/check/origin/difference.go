package origin

import (
	"slices"

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
	for _, isMatch := range []func(a, b object.Object) bool{isSame, isRenamed} {
		var unmatched []object.Object
		for _, o := range with {
			i := slices.IndexFunc(left, func(other object.Object) bool { return isMatch(o, other) })
			if i < 0 {
				unmatched = append(unmatched, o)
				continue
			}
			other := left[i]
			left = slices.Delete(left, i, i+1)
			if fields := object.Differences(o.Body, other.Body, object.Shown{}, false); len(fields) > 0 {
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
