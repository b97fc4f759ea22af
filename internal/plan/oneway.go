package plan

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"slipway/internal/object"
)

// irreversible says why a rollback could not undo a change; empty when it can.
func irreversible(c Change, o Observed) string {
	r := o.Ref
	switch {
	case c.Action == Delete && Protected(r.Kind):
		return "what it holds is lost"
	case c.Action == Delete && KeepsPods(r) && claimsGo(o.Live):
		return "the claims of its pods are deleted, and what they hold is lost"
	case (c.Action == Delete || c.Action == Replace) && hasAddress(o.Live):
		return "a new Service gets another address of the load balancer"
	case c.Action != Update && c.Action != Replace:
		return ""
	case holdsData(r):
		if o.Merged.At("immutable") == true && o.Live.At("immutable") != true && sameContent(o) {
			return "it is immutable from now on"
		}
	case r.Kind == "PersistentVolumeClaim" && grows(o.Live, o.Merged):
		return "a claim does not shrink"
	case r.Kind == "CustomResourceDefinition" && !maps.Equal(versions(o.Live), versions(o.Merged)):
		return "objects may be stored in another version by then"
	case c.Action == Update &&
		slices.ContainsFunc(resizes(c, o), func(s resized) bool { return s.to.Cmp(s.from) > 0 }):
		return "its volumes do not shrink"
	}
	return ""
}

// claimsGo says that the claims of a StatefulSet are deleted with it.
func claimsGo(o object.Object) bool {
	return o.At("spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete"
}

// hasAddress says that a Service has an address of a load balancer that its source does not ask for.
func hasAddress(o object.Object) bool {
	isBalanced := o.APIVersion() == "v1" && o.At("spec", "type") == "LoadBalancer"
	return isBalanced && o.At("spec", "loadBalancerIP") == nil &&
		len(object.Mappings(o.At("status", "loadBalancer", "ingress"))) > 0
}

// grows says that a claim asks for more storage than it has.
func grows(live, want object.Object) bool {
	size := func(o object.Object) resource.Quantity {
		text, _ := o.At("spec", "resources", "requests", "storage").(string)
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return resource.Quantity{}
		}
		return q
	}
	before, after := size(live), size(want)
	return after.Cmp(before) > 0
}

// versions returns the versions of a definition, and which one is stored.
func versions(o object.Object) map[string]bool {
	stored := map[string]bool{}
	for _, v := range object.Mappings(o.At("spec", "versions")) {
		name, _ := v["name"].(string)
		stored[name] = v["storage"] == true
	}
	return stored
}

// noteIrreversible notes what the way back keeps. A rollback itself has no way back to speak of.
func (p *Plan) noteIrreversible(in Input, observed sightings) {
	if in.Rollback {
		return
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if slices.Contains(in.Owned, c.Ref) {
			c.Irreversible = irreversible(*c, observed.of(c.Ref))
		}
	}
}
