package cluster

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// isKnown says that what applying an object would give needs no dry run, and takes it over: an earlier
// Observe has asked, which found before, or a release has recorded that the object is as its source wants it,
// and nothing has changed.
func (s *survey) isKnown(o *plan.Observed, before plan.Observed) bool {
	if o.Unverified != "" {
		return false
	}
	if before.Ref == o.Ref && before.Err == nil && before.Unverified == "" &&
		before.Adopting == o.Adopting && before.Fingerprint == o.Fingerprint &&
		isAsBefore(o.Live, before.Live) {
		live := o.Live
		*o = before
		o.Live = live
		return true
	}
	if o.Fingerprint == "" || s.settled[o.Ref] != o.Fingerprint {
		return false
	}
	o.Settled, o.Merged, o.Stays = true, o.Live, fixedAtCreation(o.Desired, o.Live)
	return true
}

// isAsBefore says that a live object differs from an earlier look at most in its status. What a controller
// has noted in it since is not in what the server answered then, and would look like a change of ours.
func isAsBefore(live, before object.Object) bool {
	return live.At("metadata", "resourceVersion") == before.At("metadata", "resourceVersion") ||
		reflect.DeepEqual(plan.Wish(live).Body, plan.Wish(before).Body)
}

// fingerprint identifies an apply and the object that it meets: what is sent, and all of the live object that
// takes part in what the server makes of it. That is everything but its status, which an apply does not
// touch, the version and field managers that change with the status, and what controllers note for
// themselves. While it is the same, the apply has the same result: server-side apply is a function of these
// two, and admission acts on writes only. It is empty without a live object.
func fingerprint(desired, live object.Object, managed []metav1.ManagedFieldsEntry) string {
	if live.Body == nil {
		return ""
	}
	body := make(map[string]any, len(live.Body))
	for k, v := range live.Body {
		if k != "status" {
			body[k] = v
		}
	}
	if metadata, ok := live.Body["metadata"].(map[string]any); ok {
		kept := make(map[string]any, len(metadata))
		for k, v := range metadata {
			if k != "resourceVersion" && k != "generation" {
				kept[k] = v
			}
		}
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			annotations = maps.Clone(annotations)
			maps.DeleteFunc(annotations, func(k string, _ any) bool { return slices.Contains(controllers, k) })
			if kept["annotations"] = annotations; len(annotations) == 0 {
				delete(kept, "annotations")
			}
		}
		body["metadata"] = kept
	}
	holders := make([]metav1.ManagedFieldsEntry, 0, len(managed))
	for _, e := range managed {
		if e.Subresource != "status" {
			holders = append(holders, e)
		}
	}
	sum := sha256.New()
	text := json.NewEncoder(sum)
	for _, part := range []any{desired.Body, body, holders} {
		if text.Encode(part) != nil {
			return ""
		}
	}
	return base64.RawStdEncoding.EncodeToString(sum.Sum(nil)[:18])
}

// settledAs is the fingerprint of an object after its apply, for the next Observe; empty where the next apply
// may have an effect: a field has another value, or other tools hold fields.
func (s *survey) settledAs(source, live object.Object, managed []metav1.ManagedFieldsEntry) string {
	desired, _ := s.aim(source, live, managed)
	claim, err := claimOf(managed, desired, false)
	if err != nil || len(claim.managers) > 0 || len(object.Lost(desired, live)) > 0 {
		return ""
	}
	if _, changed := corrected(desired, live); changed {
		return ""
	}
	return fingerprint(desired, live, managed)
}
