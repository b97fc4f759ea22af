package origin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
)

// NoObjectError says that an environment renders no such object.
type NoObjectError struct {
	Asked, Environment string
	// Suggestion is the known object that was probably meant; empty: none is similar.
	Suggestion string
	// Known are the objects that the name may stand for where it is ambiguous, else all of the environment's,
	// those of the kind first.
	Known     []string
	Ambiguous bool
}

func (e *NoObjectError) Error() string {
	if e.Ambiguous {
		return fmt.Sprintf("environment %s renders several objects called %s", e.Environment, e.Asked)
	}
	return fmt.Sprintf("environment %s does not render %s", e.Environment, e.Asked)
}

// NoFieldError says that an object has no such field.
type NoFieldError struct {
	Ref   object.Ref
	Field string
	// Suggestion is the known field that was probably meant; empty: none is similar.
	Suggestion string
	// Known are the fields that exist where the path leaves the object, or the elements of a list that it may
	// stand for.
	Known     []string
	Ambiguous bool
}

func (e *NoFieldError) Error() string {
	if e.Ambiguous {
		return fmt.Sprintf("%s has several fields %s", e.Ref, e.Field)
	}
	return fmt.Sprintf("%s has no field %s", e.Ref, e.Field)
}

// FieldError says that a text is not the path of a field.
type FieldError struct{ Err error }

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// find returns the object of a kind and name. The name may lack what an overlay added to it.
func find(objects []object.Object, asked string, env project.Environment) (object.Object, error) {
	exact, near := object.Named(objects, asked, env.Namespace)
	found := slices.Concat(exact, near)
	if len(exact) == 1 || len(found) == 1 {
		return found[0], nil
	}
	e := &NoObjectError{Asked: asked, Environment: env.Name, Ambiguous: len(found) > 1}
	if e.Ambiguous {
		for _, o := range found {
			ref := o.Ref()
			if ref.Group == "" && slices.ContainsFunc(exact, func(other object.Object) bool {
				return other.Ref().Group != "" && other.Ref().Namespace == ref.Namespace
			}) {
				ref.Kind += ".v1" // as kubectl names a kind without a group
			}
			e.Known = append(e.Known, nameOf(ref, len(exact) > 1))
		}
		return object.Object{}, e
	}
	e.suggest(objects)
	return object.Object{}, e
}

// suggest fills in the known objects. One of another kind has the name, or one of the kind a similar name: it
// may also be similar without what an overlay adds.
func (e *NoObjectError) suggest(objects []object.Object) {
	kinds, kind, name := object.KindsOf(objects), "", e.Asked
	if i := strings.LastIndexAny(name, "/ "); i >= 0 {
		kind, name = name[:i], name[i+1:]
	}
	var same, others, parts []string
	whose := map[string]string{}
	for _, o := range objects {
		ref, known := o.Ref(), nameOf(o.Ref(), false)
		if !kinds.Is(kind, ref) {
			if others = append(others, known); ref.Name == name && e.Suggestion == "" {
				e.Suggestion = known
			}
			continue
		}
		same, parts = append(same, known), append(parts, ref.Name)
		whose[ref.Name] = known
		for i, c := range ref.Name {
			if c == '-' {
				parts = append(parts, ref.Name[i+1:], ref.Name[:i])
				whose[ref.Name[i+1:]], whose[ref.Name[:i]] = known, known
			}
		}
	}
	if near := project.Suggest(name, parts); near != "" {
		e.Suggestion = whose[near]
	}
	e.Known = slices.Concat(same, others)
}

// nameOf is an object's name as Question takes it. A precise one tells it from others of its kind and name.
func nameOf(r object.Ref, precise bool) string {
	if precise && r.Group != "" {
		r.Kind += "." + r.Group
	}
	if precise && r.Namespace != "" {
		return r.Kind + "/" + r.Namespace + "/" + r.Name
	}
	return r.Kind + "/" + r.Name
}

// fieldOf returns a field of an object as Chain names it, and its steps.
func fieldOf(o object.Object, asked string) (field string, steps []object.Step, err error) {
	spelled, err := object.Steps(asked)
	if err != nil {
		return "", nil, &FieldError{err}
	}
	field, err = object.Canonical(o.Body, spelled)
	if none := new(object.NoPathError); errors.As(err, &none) {
		e := &NoFieldError{Ref: o.Ref(), Field: asked, Known: none.Known, Ambiguous: none.Ambiguous}
		if !e.Ambiguous {
			e.Suggestion = project.Suggest(strings.TrimPrefix(asked, "."), e.Known)
		}
		return "", nil, e
	}
	steps, err = object.Steps(field)
	return field, steps, err
}
