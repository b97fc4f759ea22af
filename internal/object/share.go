package object

import (
	"maps"
	"reflect"
)

// Detached returns a copy whose metadata and annotations may be changed. It shares the rest with o.
func (o Object) Detached() Object {
	body := maps.Clone(o.Body)
	if metadata, ok := body["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			metadata["annotations"] = maps.Clone(annotations)
		}
		body["metadata"] = metadata
	}
	return Object{Body: body, Origin: o.Origin}
}

// Share replaces, in the body of o, what is equal to the same part of another object by that part, so that
// one of them can be freed: thousands of objects are held in several states. Both must not be changed after
// it.
func Share(o, with Object) Object {
	if body, ok := share(o.Body, with.Body).(map[string]any); ok {
		o.Body = body
	}
	return o
}

func share(v, with any) any {
	switch x := v.(type) {
	case map[string]any:
		w, ok := with.(map[string]any)
		if !ok {
			return v
		}
		equal := len(x) == len(w)
		for k, e := range x {
			other, ok := w[k]
			if ok {
				x[k] = share(e, other)
			}
			equal = equal && ok && identical(x[k], other)
		}
		if equal {
			return with
		}
	case []any:
		w, ok := with.([]any)
		if !ok {
			return v
		}
		equal := len(x) == len(w)
		for i := range min(len(x), len(w)) {
			x[i] = share(x[i], w[i])
			equal = equal && identical(x[i], w[i])
		}
		if equal {
			return with
		}
	case string:
		if w, ok := with.(string); ok && w == x {
			return with
		}
	}
	return v
}

// identical says that both are the same map, list or scalar.
func identical(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer()
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}
