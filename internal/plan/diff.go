package plan

import (
	"maps"

	"slipway/internal/object"
)

// serverOwned are metadata fields that only the API server writes.
var serverOwned = []string{
	"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink",
	"deletionTimestamp", "deletionGracePeriodSeconds",
}

// serverAnnotation is written by the API server, which counts the templates of a DaemonSet in it.
const serverAnnotation = "deprecated.daemonset.template.generation"

// differences returns the fields in which after differs from before. Values come from the masked objects, so
// that a changed Secret shows as changed and nothing else. With asked, only the fields of after count: the
// API server has not added its defaults.
func differences(before, after object.Object, asked bool) []Field {
	masked := object.Shown{
		Before: withoutServerFields(object.Masked(before)), After: withoutServerFields(object.Masked(after)),
	}
	return object.Differences(withoutServerFields(before), withoutServerFields(after), masked, asked)
}

// Wish returns the object without the fields that only the API server writes. It shares the rest.
func Wish(o object.Object) object.Object {
	body, _ := withoutServerFields(o).(map[string]any)
	return object.Object{Body: body, Origin: o.Origin}
}

// withoutServerFields returns the body without the fields that only the API server writes; it shares the
// rest.
func withoutServerFields(o object.Object) any {
	body := maps.Clone(o.Body)
	delete(body, "status")
	if meta, ok := body["metadata"].(map[string]any); ok {
		meta = maps.Clone(meta)
		for _, f := range serverOwned {
			delete(meta, f)
		}
		if annotations, ok := meta["annotations"].(map[string]any); ok && annotations[serverAnnotation] != nil {
			annotations = maps.Clone(annotations)
			delete(annotations, serverAnnotation)
			meta["annotations"] = annotations
			if len(annotations) == 0 {
				delete(meta, "annotations")
			}
		}
		body["metadata"] = meta
	}
	return body
}
