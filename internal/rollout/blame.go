package rollout

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"slipway/internal/object"
)

// blame returns the path of the field that is probably the cause, in the object of the source; "" where no
// field of it is. The field may be absent: a missing memory limit has no line.
func blame(desired object.Object, s, d symptom, events []corev1.Event) string {
	switch s.reason {
	case "DeploymentPaused":
		return "spec.paused"
	case "DeadlineExceeded":
		return "spec.activeDeadlineSeconds"
	}
	spec, path, ok := desired.PodSpec()
	if !ok {
		return ""
	}
	switch d.reason {
	case corev1.PodReasonUnschedulable:
		return placement(spec, path, d.message)
	case "FailedCreate":
		return rejected(spec, path, d.message)
	case "FailedMount", "CreateContainerConfigError":
		return reference(spec, path, d.message)
	}
	all := object.Containers(spec, path)
	i := slices.IndexFunc(all, func(c object.Container) bool { return c.Body["name"] == d.container })
	if i < 0 {
		return ""
	}
	return all[i].Path + containerBlame(all[i].Body, d, events)
}

// containerBlame returns the rest of the path, within the container; "" for the container itself.
func containerBlame(c map[string]any, d symptom, events []corev1.Event) string {
	command := ".image"
	for _, key := range []string{"args", "command"} {
		if c[key] != nil {
			command = "." + key
		}
	}
	switch d.reason {
	case "ErrImageNeverPull":
		return ".imagePullPolicy"
	case "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable",
		"SignatureValidationFailed":
		return ".image"
	case "OOMKilled":
		return ".resources.limits.memory"
	case "StartError", "ContainerCannotRun", "RunContainerError":
		return command
	case "Unhealthy":
		for _, kind := range []string{"Startup", "Liveness", "Readiness"} {
			if _, _, ok := lastProbe(events, kind); ok {
				return probeField(kind)
			}
		}
		return probeField("Readiness")
	}
	if d.exit == nil {
		return ""
	}
	if kind, _, ok := killedBy(d, events); ok {
		return probeField(kind)
	}
	return command
}

func probeField(kind string) string { return "." + strings.ToLower(kind) + "Probe" }

// placement is the part of a pod's spec that no node satisfies.
func placement(spec map[string]any, path, message string) string {
	for _, w := range []struct{ words, field string }{
		{"claim ", "volumes"}, {"PersistentVolumeClaim", "volumes"}, {"volume node affinity", "volumes"},
		{"didn't match Pod's node affinity", "affinity"}, {"didn't match pod anti-affinity", "affinity"},
		{"didn't match pod affinity", "affinity"}, {"topology spread", "topologySpreadConstraints"},
		{"free ports", "containers"}, {"untolerated taint", "tolerations"},
	} {
		if !strings.Contains(message, w.words) || insufficient().MatchString(message) {
			continue
		}
		if w.field == "affinity" && spec["nodeSelector"] != nil {
			w.field = "nodeSelector"
		}
		return object.Join(path, w.field)
	}
	m := insufficient().FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	for _, c := range object.Containers(spec, path) {
		requests := object.Mapping(object.Mapping(c.Body["resources"])["requests"])
		if requests[m[1]] != nil {
			return c.Path + ".resources.requests." + m[1]
		}
	}
	return ""
}

// rejected is the part of a pod's spec for which the API server does not create the pod.
func rejected(spec map[string]any, path, message string) string {
	first := func(part string) string {
		for _, c := range object.Containers(spec, path) {
			if c.Body[part] != nil {
				return c.Path + "." + part
			}
		}
		return ""
	}
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "serviceaccount "), strings.Contains(lower, "service account "):
		return object.Join(path, "serviceAccountName")
	case strings.Contains(lower, "violates podsecurity"):
		return first("securityContext")
	case strings.Contains(lower, "priorityclass"), strings.Contains(lower, "priority class"):
		return object.Join(path, "priorityClassName")
	case strings.Contains(lower, "exceeded quota"), strings.Contains(lower, "limitrange"),
		strings.Contains(lower, "failed quota"):
		return first("resources")
	}
	return ""
}

// reference is the part of a pod's spec that names the missing object, or the missing key of one.
func reference(spec map[string]any, path, message string) string {
	name, key := "", ""
	if m := missingObject().FindStringSubmatch(message); m != nil {
		name = m[2]
	} else if m := missingKey().FindStringSubmatch(message); m != nil {
		name, key = m[3], m[1]
	} else {
		return ""
	}
	for _, c := range object.Containers(spec, path) {
		env, _ := c.Body["env"].([]any)
		for i, step := range object.Elements(env) {
			for source, by := range object.Mapping(object.Mapping(env[i])["valueFrom"]) {
				ref := object.Mapping(by)
				if ref["name"] == name && (key == "" || ref["key"] == key) {
					return fmt.Sprintf("%s.env%s.valueFrom.%s", c.Path, step, source)
				}
			}
		}
		if from, _ := c.Body["envFrom"].([]any); names(from, name) >= 0 {
			return fmt.Sprintf("%s.envFrom[%d]", c.Path, names(from, name))
		}
	}
	volumes, _ := spec["volumes"].([]any)
	if i := names(volumes, name); i >= 0 {
		return object.Join(path, "volumes") + object.Elements(volumes)[i]
	}
	return ""
}

// names returns the index of the first element in which a field other than its own name has that text.
func names(list []any, text string) int {
	return slices.IndexFunc(list, func(e any) bool {
		for key, v := range object.Mapping(e) {
			if key != "name" && hasText(v, text) {
				return true
			}
		}
		return false
	})
}
