package cluster

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// The API server derives some fields from others when an object is created, and keeps them afterwards,
// although no manager holds them: without a word about them, an update leaves the object other than a new one
// would be.

// withoutAggregated is desired without the rules of an aggregated ClusterRole: a controller fills them in,
// and the `rules: []` of its documentation would empty them.
func withoutAggregated(desired object.Object) object.Object {
	if r := desired.Ref(); r.Group != "rbac.authorization.k8s.io" || r.Kind != "ClusterRole" ||
		desired.At("aggregationRule") == nil || desired.At("rules") == nil {
		return desired
	}
	desired = desired.Clone()
	delete(desired.Body, "rules")
	return desired
}

// withoutInjected is desired without the caBundle that a controller has put into the live object: what the
// source has there is a placeholder, or the certificate of another cluster. It also names the controllers.
func withoutInjected(desired, live object.Object, managed []metav1.ManagedFieldsEntry) (
	object.Object, []string) {
	const field = "caBundle"
	var by []string
	for _, e := range managed {
		if e.FieldsV1 != nil && e.Manager != Manager && !isTool(e.Manager) &&
			strings.Contains(e.FieldsV1.GetRawString(), `"f:`+field+`"`) {
			by = append(by, e.Manager)
		}
	}
	if len(by) == 0 || live.Body == nil {
		return desired, nil
	}
	desired = desired.Clone()
	without := func(v any) {
		if m, ok := v.(map[string]any); ok {
			delete(m, field)
		}
	}
	without(desired.Body["spec"])
	without(desired.At("spec", "conversion", "webhook", "clientConfig"))
	hooks, _ := desired.Body["webhooks"].([]any)
	for _, h := range hooks {
		hook, _ := h.(map[string]any)
		without(hook["clientConfig"])
	}
	return desired, by
}

// fixedAtCreation are fields that the server keeps from the live object when the source no longer sets them.
func fixedAtCreation(desired, merged object.Object) []object.Field {
	if r := desired.Ref(); r.Group != "" || r.Kind != "Service" || desired.At("spec", "clusterIP") != nil ||
		merged.At("spec", "clusterIP") != "None" {
		return nil
	}
	return []object.Field{{Path: "spec.clusterIP", After: "None"}}
}

// corrected is desired with a value for each derived field that merged, the result of applying desired, has
// otherwise than a new object would; false when there is none.
func corrected(desired, merged object.Object) (object.Object, bool) {
	changed := false
	o := desired.Clone()
	if spec, _, ok := o.PodSpec(); ok && spec["serviceAccountName"] == nil && spec["serviceAccount"] == nil {
		// serviceAccount is the deprecated name of serviceAccountName: each is copied into the other.
		if live, _, ok := merged.PodSpec(); ok && live["serviceAccountName"] != nil && o.Ref().Kind != "Pod" {
			spec["serviceAccountName"], spec["serviceAccount"] = "", ""
			changed = true
		}
	}
	if r := o.Ref(); r.Group == "networking.k8s.io" && r.Kind == "NetworkPolicy" {
		spec := object.Mapping(o.Body["spec"])
		types := []any{"Ingress"}
		if egress, _ := spec["egress"].([]any); len(egress) > 0 {
			types = append(types, "Egress")
		}
		if spec != nil && spec["policyTypes"] == nil &&
			!reflect.DeepEqual(merged.At("spec", "policyTypes"), any(types)) {
			spec["policyTypes"] = types
			changed = true
		}
	}
	return o, changed
}
