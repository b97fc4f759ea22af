package plan

import (
	"slices"
	"strconv"
	"strings"

	"slipway/internal/object"
)

// MayBeUsed says that pods may name objects of this kind, and that one which left the source may be deleted.
func MayBeUsed(ref object.Ref) bool {
	return ref.Group == "" && slices.Contains([]string{"ConfigMap", "Secret", "ServiceAccount"}, ref.Kind)
}

// usage finds the objects that still name another one after a deploy.
type usage struct {
	in       Input
	observed sightings
	gone     map[object.Ref]bool // what the deploy deletes
	by       map[object.Ref]string
}

// usedBy returns for each object that pods name after the deploy what names it: "pod db-0".
func usedBy(in Input, observed sightings) map[object.Ref]string {
	u := usage{in: in, observed: observed, gone: map[object.Ref]bool{}, by: map[object.Ref]string{}}
	for _, ref := range surplus(in) {
		u.gone[ref] = true
	}
	for _, o := range in.Desired.Objects() {
		spec, _, _ := o.PodSpec()
		u.note(o.Ref().String(), object.PodNeeds(spec, o.Ref().Namespace))
		if o.Ref().Kind == "Ingress" {
			for _, tls := range object.Mappings(o.At("spec", "tls")) {
				name, _ := tls["secretName"].(string)
				u.note(o.Ref().String(), []object.Ref{{Kind: "Secret", Namespace: o.Ref().Namespace, Name: name}})
			}
		}
	}
	for _, o := range in.Users {
		if o.Ref().Kind == "Pod" && u.stays(o) {
			spec, _, _ := o.PodSpec()
			u.note("pod "+o.Ref().Name, object.PodNeeds(spec, o.Ref().Namespace))
		}
	}
	u.noteRevisions()
	return u.by
}

func (u usage) note(user string, needs []object.Ref) {
	for _, ref := range needs {
		if u.by[ref] == "" {
			u.by[ref] = user
		}
	}
}

// stays says that a live pod is not replaced by the deploy, and has not ended.
func (u usage) stays(pod object.Object) bool {
	if phase := pod.At("status", "phase"); phase == "Succeeded" || phase == "Failed" || isDeleting(pod) {
		return false
	}
	owner := u.topOf(pod)
	if u.gone[owner] {
		return false
	}
	want, ok := u.in.Desired.Get(owner)
	if !ok {
		return true
	}
	strategy, _ := want.At("spec", "updateStrategy", "type").(string)
	switch owner.Kind {
	case "Deployment":
		return want.At("spec", "paused") == true
	case "StatefulSet":
		_, ordinal, _ := cutLast(pod.Ref().Name, "-")
		n, err := strconv.ParseInt(ordinal, 10, 64)
		return strategy == "OnDelete" || err == nil && n < partition(want)
	case "DaemonSet":
		return strategy == "OnDelete"
	case "Pod":
		return false // its desired spec counts
	}
	return true
}

func partition(o object.Object) int64 {
	n, _ := o.At("spec", "updateStrategy", "rollingUpdate", "partition").(int64)
	return n
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// topOf returns the object that a live one belongs to in the end, such as the Deployment of a pod.
func (u usage) topOf(o object.Object) object.Ref {
	for range 3 {
		owner := controllerOf(o)
		if owner == (object.Ref{}) {
			break
		}
		i := slices.IndexFunc(u.in.Users, func(user object.Object) bool { return user.Ref() == owner })
		if i < 0 {
			return owner
		}
		o = u.in.Users[i]
	}
	return o.Ref()
}

func controllerOf(o object.Object) object.Ref {
	for _, owner := range object.Mappings(o.At("metadata", "ownerReferences")) {
		if owner["controller"] == true {
			return object.Object{Body: map[string]any{"apiVersion": owner["apiVersion"], "kind": owner["kind"],
				"metadata": map[string]any{"name": owner["name"], "namespace": o.Ref().Namespace}}}.Ref()
		}
	}
	return object.Ref{}
}

// noteRevisions notes what the pods need that a StatefulSet makes anew from an earlier revision. The
// ReplicaSets of a Deployment's earlier revisions have no pods, and a rollback brings back what they name.
func (u usage) noteRevisions() {
	for _, want := range u.in.Desired.Objects() {
		if want.Ref().Kind != "StatefulSet" ||
			want.At("spec", "updateStrategy", "type") != "OnDelete" && partition(want) == 0 {
			continue
		}
		current, _ := u.observed.of(want.Ref()).Live.At("status", "currentRevision").(string)
		for _, o := range u.in.Users {
			r := o.Ref()
			if r.Kind == "ControllerRevision" && r.Name == current && r.Namespace == want.Ref().Namespace {
				spec := object.Mapping(o.At("data", "spec", "template", "spec"))
				u.note("ControllerRevision "+current, object.PodNeeds(spec, r.Namespace))
			}
		}
	}
}

// keepUsed keeps an object that something still names, or may name.
func keepUsed(c *Change, user, unlisted string) {
	switch {
	case user != "":
		c.Action, c.Reason = Keep, "no longer in the source, but "+user+" still uses it"
	case unlisted != "":
		c.Action, c.Reason = Keep, "no longer in the source, and it may be in use: "+unlisted
	}
}
