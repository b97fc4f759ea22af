package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/object"
)

// replaceMarks are the annotations by which an object asks to be deleted and created again where it cannot be
// changed.
var replaceMarks = []struct{ annotation, value string }{
	{"slipway.dev/replace", "when-immutable"},
	{"kapp.k14s.io/update-strategy", "fallback-on-replace"},
	{"kapp.k14s.io/update-strategy", "always-replace"},
	{"argocd.argoproj.io/sync-options", "Force=true"},
}

// MayReplace says that an object is deleted and created again where it cannot be changed: Jobs, ConfigMaps
// and Secrets are, and what asks for it, but never an object that holds others or data.
func MayReplace(o object.Object) bool {
	r := o.Ref()
	return !Protected(r.Kind) && (isJob(r) || holdsData(r) || asksForReplacement(o))
}

// MayGoBack says that a rollback may delete and create an object again: where its release may, and where the
// live object asks for it. It came by a replacement then, and the older release may lack the annotation.
func MayGoBack(want, live object.Object) bool {
	return MayReplace(want) || !Protected(want.Ref().Kind) && asksForReplacement(live)
}

// mustReplace says that a rollback replaces an object that cannot be changed. A ConfigMap or a Secret whose
// content is that of the release stays: only the mark that it is immutable differs.
func mustReplace(o Observed) bool {
	return asksForReplacement(o.Desired) || asksForReplacement(o.Live) || !sameContent(o)
}

// sameContent says that the live ConfigMap or Secret holds what the desired one does.
func sameContent(o Observed) bool {
	same := func(field string) bool {
		live, _ := o.Live.At(field).(map[string]any)
		want, _ := o.Merged.At(field).(map[string]any)
		return len(live) == 0 && len(want) == 0 || reflect.DeepEqual(live, want)
	}
	return same("data") && same("binaryData")
}

// holdsData says that an object is a ConfigMap or a Secret. The server defaults nothing of what these hold.
func holdsData(r object.Ref) bool {
	return r.Group == "" && (r.Kind == "ConfigMap" || r.Kind == "Secret")
}

func asksForReplacement(o object.Object) bool {
	return slices.ContainsFunc(replaceMarks, func(m struct{ annotation, value string }) bool {
		return hasValue(o, m.annotation, m.value)
	})
}

// hasValue says that a value is in the list that an annotation holds.
func hasValue(o object.Object, annotation, value string) bool {
	text, _ := o.Annotations()[annotation].(string)
	for v := range strings.SplitSeq(text, ",") {
		if strings.EqualFold(strings.TrimSpace(v), value) {
			return true
		}
	}
	return false
}

// KeepsPods says that a replaced object is deleted without its pods and claims, which the new one takes over.
func KeepsPods(ref object.Ref) bool { return ref.Group == "apps" && ref.Kind == "StatefulSet" }

// replace says whether an object that cannot be changed may be deleted and created again: one of this
// environment may. A Job that an interrupted deploy has left running is waited for.
func replace(o Observed, in Input) (Action, string) {
	if !slices.Contains(in.Owned, o.Ref) {
		return Blocked, "it cannot be changed, and no release of this environment created it"
	}
	what := strings.TrimPrefix(o.Why+" ", " ")
	switch {
	case isJob(o.Ref):
		return Replace, "cannot be changed: the Job is deleted and created again, once it has ended"
	case KeepsPods(o.Ref) && !sameSelector(o):
		return Blocked, "spec.selector cannot be changed: the pods would belong to no StatefulSet"
	case KeepsPods(o.Ref):
		return Replace, what + "cannot be changed: the StatefulSet is deleted without its pods and claims, " +
			"and created again"
	case holdsData(o.Ref):
		return Replace, fmt.Sprintf("cannot be changed: the immutable %s is deleted and created again", o.Ref.Kind)
	}
	return Replace, what + "cannot be changed: it is deleted and created again, with all that belongs to it"
}

func sameSelector(o Observed) bool {
	selector := map[string]any{"selector": o.Desired.At("spec", "selector")}
	want := object.Object{Body: map[string]any{"spec": selector}}
	return len(object.Lost(want, o.Live)) == 0
}

// Deletes counts the objects that a plan deletes, and all that exist now.
func (p Plan) Deletes() (deleted, all int) {
	deleted = p.Count(Delete)
	return deleted, deleted + p.Count(Keep) + p.Count(Update) + p.Count(Replace)
}

// IsNamed says that a list of "KIND/NAME" has an object.
func IsNamed(names []string, ref object.Ref) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, ref.Kind+"/"+ref.Name) })
}
