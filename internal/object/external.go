package object

import (
	"fmt"
	"strings"
)

// noController is the health of an object that no controller has reported about.
var noController = Health{Unknown, "no controller has reported a status yet"}

// IsExternal says that a controller which is not part of Kubernetes makes the object work, as cert-manager
// does a Certificate. A deploy waits for it only where a controller reports on it: a cluster may have the
// definitions alone.
func (r Ref) IsExternal() bool { return kindRules[r.Group+"/"+r.Kind].external }

// existing is the health of objects without a status that tells anything: other programs read them.
func existing(Object) Health { return Health{Current, "exists"} }

// certificateHealth is that of cert-manager, which tries a failed request again after an hour or more.
func certificateHealth(o Object) Health {
	issuing, _ := o.condition("Issuing")
	ready, reported := o.condition("Ready")
	switch {
	case !reported:
		return noController
	case ready.status == "True":
		return Health{Current, "issued"}
	case issuing.status == "False" && issuing.reason == "Failed" && issuing.generation >= ready.generation:
		return Health{Failed, issuing.text()}
	}
	return Health{InProgress, ready.text()}
}

// externalSecretHealth is that of the External Secrets Operator. Its conditions are of no generation: the
// version that it has synchronized begins with that.
func externalSecretHealth(o Object) Health {
	ready, reported := o.condition("Ready")
	generation, _ := o.int("metadata", "generation")
	synced := o.str("status", "syncedResourceVersion")
	switch {
	case !reported:
		return noController
	case ready.status != "True":
		return Health{InProgress, ready.text()}
	case synced != "" && !strings.HasPrefix(synced, fmt.Sprintf("%d-", generation)):
		return Health{InProgress, Unseen}
	}
	return Health{Current, "synchronized"}
}

// sealedSecretHealth is that of Sealed Secrets. A value that the controller's keys do not open stays so.
func sealedSecretHealth(o Object) Health {
	synced, reported := o.condition("Synced")
	switch {
	case !reported:
		return noController
	case synced.status == "True":
		return Health{Current, "unsealed"}
	case synced.status == "False":
		return Health{Failed, synced.text()}
	}
	return Health{InProgress, synced.text()}
}

// gatewayHealth is that of the Gateway API, whose definition writes conditions before a controller does.
func gatewayHealth(o Object) Health {
	generation, _ := o.int("metadata", "generation")
	for _, name := range []string{"Accepted", "Programmed"} {
		c, ok := o.condition(name)
		switch {
		case !ok, c.status == "Unknown" && c.reason == "Pending":
			return noController
		case c.generation < generation && c.generation != 0:
			return Health{InProgress, Unseen}
		case c.status != "True":
			return Health{InProgress, c.text()}
		}
	}
	return Health{Current, "programmed"}
}

// routeHealth is that of the routes of the Gateway API: each parent reports on its own.
func routeHealth(o Object) Health {
	generation, _ := o.int("metadata", "generation")
	parents := Mappings(o.At("status", "parents"))
	if len(parents) == 0 {
		return noController
	}
	for _, p := range parents {
		parent := Object{Body: map[string]any{"status": p}}
		name := Object{Body: p}.str("parentRef", "name")
		for _, kind := range []string{"Accepted", "ResolvedRefs"} {
			c, ok := parent.condition(kind)
			switch {
			case !ok:
			case c.generation < generation && c.generation != 0:
				return Health{InProgress, Unseen}
			case c.status != "True":
				return Health{InProgress, fmt.Sprintf("%s: %s", name, c.text())}
			}
		}
	}
	return Health{Current, "accepted by " + count(int64(len(parents)), "parent")}
}

// scaledObjectHealth is that of KEDA.
func scaledObjectHealth(o Object) Health {
	ready, reported := o.condition("Ready")
	paused, _ := o.condition("Paused")
	switch {
	case paused.status == "True":
		return Health{Current, "paused"}
	case !reported || ready.status == "Unknown":
		return noController
	case ready.status == "True":
		return Health{Current, "ready"}
	}
	return Health{InProgress, ready.text()}
}
