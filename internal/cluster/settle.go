package cluster

import (
	"strings"

	"slipway/internal/object"
)

// settleReplicas gives the objects as they are to be applied: where an autoscaler has the replicas of a
// workload, the workload keeps those that are live. Leaving replicas out instead would reset it to
// one wherever we are the only manager that has set it. A new workload starts with what the source
// says, or with the autoscaler's minimum.
func settleReplicas(desired object.Set, live map[object.Ref]object.Object, scalers []object.Object) object.Set {
	targets := map[object.Ref]object.Object{}
	for _, s := range scalers {
		if ref, ok := scaleTarget(s); ok {
			targets[ref] = s
		}
	}
	settled, err := desired.Map(func(o object.Object) (object.Object, error) {
		scaler, ok := targets[o.Ref()]
		if !ok {
			return o, nil
		}
		if replicas := live[o.Ref()].At("spec", "replicas"); replicas != nil {
			return withReplicas(o, replicas), nil
		}
		if minimum := scaler.At("spec", "minReplicas"); minimum != nil && o.At("spec", "replicas") == nil {
			return withReplicas(o, minimum), nil
		}
		return o, nil
	})
	if err != nil {
		panic(err) // replicas are not part of a Ref
	}
	return settled
}

func scaleTarget(scaler object.Object) (object.Ref, bool) {
	target, ok := scaler.At("spec", "scaleTargetRef").(map[string]any)
	if !ok {
		return object.Ref{}, false
	}
	apiVersion, _ := target["apiVersion"].(string)
	kind, _ := target["kind"].(string)
	name, _ := target["name"].(string)
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		group = ""
	}
	return object.Ref{Group: group, Kind: kind, Namespace: scaler.Ref().Namespace, Name: name}, true
}

func isScaler(o object.Object) bool {
	r := o.Ref()
	return r.Group == "autoscaling" && r.Kind == "HorizontalPodAutoscaler"
}

// withReplicas is a copy of o with that number of replicas; o itself where it says so already.
func withReplicas(o object.Object, replicas any) object.Object {
	spec, ok := o.Body["spec"].(map[string]any)
	if !ok || spec["replicas"] == replicas {
		return o
	}
	o = o.Clone()
	o.Body["spec"].(map[string]any)["replicas"] = replicas
	return o
}
