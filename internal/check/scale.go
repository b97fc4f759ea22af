package check

import (
	"fmt"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const scaleTarget = rule.ID("scale-target")

// scaled is what an autoscaler scales, by group, kind and name.
func scaled(o object.Object) (group, kind, name string) {
	t := object.Mapping(o.At("spec", targetField(o)))
	group, _, _ = strings.Cut(text(t["apiVersion"]), "/")
	if kind = text(t["kind"]); kind == "" && o.Ref().Group == "keda.sh" {
		kind = "Deployment"
	}
	if kind == "Deployment" || kind == "StatefulSet" || kind == "ReplicaSet" || kind == "DaemonSet" {
		group = "apps"
	}
	return group, kind, text(t["name"])
}

// targetField is the field below spec that names what an autoscaler scales.
func targetField(o object.Object) string {
	if o.Ref().Kind == "VerticalPodAutoscaler" {
		return "targetRef"
	}
	return "scaleTargetRef"
}

func checkScaleTarget(e *environment, o object.Object) []finding.Finding {
	group, kind, name := scaled(o)
	if name == "" {
		return nil
	}
	if target, ok := e.get(group, kind, e.namespaceOf(o), name); ok {
		var all []finding.Finding
		for i, m := range object.Mappings(o.At("spec", "metrics")) {
			container := object.Mapping(m["containerResource"])["container"]
			all = append(all, checkContainer(o, fmt.Sprintf("spec.metrics[%d].containerResource.container", i),
				text(container), target)...)
		}
		return all
	}
	names := e.names(group, kind, e.namespaceOf(o))
	if group != "apps" && len(names) == 0 {
		return nil
	}
	f := scaleTarget.New(o, "spec."+targetField(o)+".name", "%s %s does not exist: nothing is scaled%s",
		kind, name, didYouMean(name, names))
	return []finding.Finding{f.WarnUnless(group == "apps" && e.completeIn(e.namespaceOf(o)))}
}

// checkVertical checks a VerticalPodAutoscaler: its target, and the containers that its policies name.
func checkVertical(e *environment, o object.Object) []finding.Finding {
	group, kind, name := scaled(o)
	target, ok := e.get(group, kind, e.namespaceOf(o), name)
	if !ok {
		return checkScaleTarget(e, o)
	}
	var all []finding.Finding
	for i, p := range object.Mappings(o.At("spec", "resourcePolicy", "containerPolicies")) {
		field := fmt.Sprintf("spec.resourcePolicy.containerPolicies[%d].containerName", i)
		all = append(all, checkContainer(o, field, text(p["containerName"]), target)...)
	}
	return all
}

// checkContainer reports a container's name that the target of an autoscaler does not have.
func checkContainer(o object.Object, field, name string, target object.Object) []finding.Finding {
	w, ok := workloadOf(target)
	if !ok || w.injected || name == "" || name == "*" {
		return nil
	}
	var names []string
	for _, c := range w.containers() {
		if c.name == name {
			return nil
		}
		if c.stays {
			names = append(names, c.name)
		}
	}
	return []finding.Finding{scaleTarget.New(o, field,
		"%s %s has no container %s: this has no effect%s (containers: %s)",
		target.Ref().Kind, target.Ref().Name, name, didYouMean(name, names), strings.Join(names, ", "))}
}
