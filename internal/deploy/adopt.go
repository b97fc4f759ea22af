package deploy

import (
	"fmt"
	"reflect"
	"slices"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// Patch is what makes the source agree with the cluster for one object: a strategic merge patch, or the
// manifest of an object that was added.
type Patch struct {
	Ref object.Ref `json:"ref"`
	// Origin is where the source has the object now.
	Origin object.Origin `json:"origin,omitzero"`
	// Body is the patch as YAML would have it; nil where nothing can be printed.
	Body map[string]any `json:"body,omitempty"`
	// Left are fields that the patch does not contain, and why.
	Left []string `json:"left,omitempty"`
}

// YAML prints the patch as one document; empty where nothing can be printed.
func (p Patch) YAML() ([]byte, error) {
	if p.Body == nil {
		return nil, nil
	}
	return (object.Object{Body: p.Body}).YAML()
}

// Adopt returns the patches that make drift part of the source. Values of Secrets are left out.
func Adopt(d Drift) []Patch {
	var patches []Patch
	for _, o := range d.Changed {
		i := slices.IndexFunc(d.observed, func(seen plan.Observed) bool { return seen.Ref == o.Ref })
		if i < 0 || o.What == Unknown {
			continue
		}
		patches = append(patches, adoptObject(o, d.observed[i]))
	}
	for _, s := range d.Added {
		patches = append(patches, adoptStray(s))
	}
	return patches
}

// header is the beginning of a patch: it names the object.
func header(o object.Object) map[string]any {
	return map[string]any{"apiVersion": o.APIVersion(), "kind": o.Ref().Kind,
		"metadata": map[string]any{"name": o.Ref().Name}}
}

func adoptObject(o Drifted, seen plan.Observed) Patch {
	p := Patch{Ref: o.Ref, Origin: o.Origin, Body: header(seen.Desired)}
	if o.What == Deleted {
		p.Body["$patch"] = "delete"
		return p
	}
	printed := 0
	for _, f := range o.Fields {
		steps, err := object.Steps(f.Path)
		raw, isThere := object.Value(seen.Live.Body, steps)
		switch {
		case err != nil:
			p.Left = append(p.Left, fmt.Sprintf("%s: %v", f.Path, err))
		case isThere && f.Live != nil && !reflect.DeepEqual(raw, f.Live):
			p.Left = append(p.Left, f.Path+": its value is not printed")
		default:
			put(p.Body, steps, seen.Live.Body, raw, f.Live == nil)
			printed++
		}
	}
	if printed == 0 {
		p.Body = nil
	}
	return p
}

// put writes the value of a live object at a path of a patch. Elements of lists that have no key are replaced
// with their whole list.
func put(patch map[string]any, steps []object.Step, live, value any, removed bool) {
	step, rest := steps[0], steps[1:]
	below, _ := object.Value(live, steps[:1])
	switch {
	case len(rest) == 0 && removed:
		patch[step.Key] = nil
	case len(rest) == 0:
		patch[step.Key] = value
	case rest[0].Element && len(rest[0].Match) == 0:
		patch[step.Key] = below
	case rest[0].Element:
		list, _ := patch[step.Key].([]any)
		patch[step.Key] = putElement(list, rest, below, value, removed)
	default:
		m, ok := patch[step.Key].(map[string]any)
		if !ok {
			m = map[string]any{}
			patch[step.Key] = m
		}
		put(m, rest, below, value, removed)
	}
}

// putElement does the same for an element of a list that its keys select.
func putElement(list []any, steps []object.Step, live, value any, removed bool) []any {
	step, rest := steps[0], steps[1:]
	found, isThere := object.Value(live, steps[:1])
	if len(rest) == 0 && !removed {
		return append(list, value)
	}
	keys := map[string]any{}
	have, _ := found.(map[string]any)
	for _, pair := range step.Match {
		keys[pair[0]] = pair[1]
		if isThere {
			keys[pair[0]] = have[pair[0]] // a number stays one
		}
	}
	i := slices.IndexFunc(list, func(e any) bool {
		m, _ := e.(map[string]any)
		return !slices.ContainsFunc(step.Match, func(pair [2]string) bool {
			return !reflect.DeepEqual(m[pair[0]], keys[pair[0]])
		})
	})
	if i < 0 {
		i, list = len(list), append(list, keys)
	}
	element, _ := list[i].(map[string]any)
	if len(rest) == 0 {
		element["$patch"] = "delete"
	} else {
		put(element, rest, found, value, removed)
	}
	return list
}

// adoptStray is the manifest of an object that was added.
func adoptStray(s Stray) Patch {
	o := plan.Wish(s.body).Clone()
	p := Patch{Ref: s.Ref, Body: o.Body}
	if metadata, ok := o.Body["metadata"].(map[string]any); ok {
		delete(metadata, "namespace")
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			delete(annotations, ownerAnnotation)
			delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
			if len(annotations) == 0 {
				delete(metadata, "annotations")
			}
		}
	}
	if object.IsSecret(o) {
		delete(o.Body, "data")
		delete(o.Body, "stringData")
		p.Left = append(p.Left, "data: its values are not printed")
	}
	return p
}
