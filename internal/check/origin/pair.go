package origin

import (
	"slices"

	"slipway/internal/object"
)

// Change is an object that comes out differently.
type Change struct {
	// Ref is the object's with everything in place; where it is only there without something, its name there.
	Ref    object.Ref     `json:"ref"`
	Fields []object.Field `json:"fields"` // Before is with everything in place; none: the whole object
	at     object.Origin
}

// differences are the objects that two renders of one source do not have alike.
func differences(with, without []object.Object) []Change {
	var changes []Change
	left := slices.Clone(without)
	for _, alike := range []func(a, b object.Object) bool{same, renamed} {
		var single []object.Object
		for _, o := range with {
			i := slices.IndexFunc(left, func(other object.Object) bool { return alike(o, other) })
			if i < 0 {
				single = append(single, o)
				continue
			}
			other := left[i]
			left = slices.Delete(left, i, i+1)
			if fields := object.Differences(o.Body, other.Body, object.Shown{}, false); len(fields) > 0 {
				changes = append(changes, Change{o.Ref(), fields, o.Origin})
			}
		}
		with = single
	}
	for _, o := range append(with, left...) {
		changes = append(changes, Change{Ref: o.Ref(), at: o.Origin})
	}
	return changes
}

// renamed says whether two objects without a line of their own are of one template.
func renamed(a, b object.Object) bool {
	return a.Origin == b.Origin && a.Ref().Kind == b.Ref().Kind && a.Ref().Group == b.Ref().Group
}

// same says whether two objects are one, written in one place, under whatever name. Several objects of one
// place come in the same order in both renders.
func same(a, b object.Object) bool {
	ra, rb := a.Ref(), b.Ref()
	if a.Origin != b.Origin || ra.Kind != rb.Kind || ra.Group != rb.Group {
		return false
	}
	return a.Origin.Line != 0 || ra.Name == rb.Name
}
