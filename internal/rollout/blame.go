package rollout

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"slipway/internal/lazyregexp"
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
	case "Terminating":
		if len(desired.Holds()) == 0 {
			return "" // the field manager that added the finalizer is to blame, and no line
		}
		return "metadata.finalizers"
	}
	spec, path, ok := desired.PodSpec()
	switch {
	case ok:
	case desired.Ref().Kind == "CustomResourceDefinition" && strings.HasSuffix(s.message, "is already in use"):
		return "spec.names"
	default:
		return Mentioned(desired, s.message)
	}
	switch d.reason {
	case corev1.PodReasonUnschedulable:
		if strings.HasPrefix(d.message, "the claim ") && Mentioned(desired, d.message) != "" {
			return Mentioned(desired, d.message) // in the templates of a StatefulSet's claims
		}
		return placement(spec, path, d.message)
	case "FailedCreate":
		return rejected(desired, d.message)
	case "FailedMount", "CreateContainerConfigError":
		return configuration(spec, path, d)
	case "ImagePullBackOff":
		if spec["imagePullSecrets"] != nil && strings.Contains(imageCause(d, events), "the registry denies") {
			return object.Join(path, "imagePullSecrets")
		}
	}
	if c, ok := containerIn(desired, d); ok {
		return c.Path + containerBlame(c.Body, d, events)
	}
	return ""
}

// containerIn returns the container of a symptom in the source.
func containerIn(desired object.Object, d symptom) (object.Container, bool) {
	spec, path, _ := desired.PodSpec()
	all := object.Containers(spec, path)
	i := slices.IndexFunc(all, func(c object.Container) bool { return c.Body["name"] == d.container })
	if i < 0 {
		return object.Container{}, false
	}
	return all[i], true
}

// containerField returns the path of a part of the container of a symptom.
func containerField(desired object.Object, d symptom, part string) string {
	c, ok := containerIn(desired, d)
	if !ok {
		return ""
	}
	return c.Path + part
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
	case "StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError":
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
	if m := insufficient().FindStringSubmatch(message); m != nil {
		for _, c := range object.Containers(spec, path) {
			requests := object.Mapping(object.Mapping(c.Body["resources"])["requests"])
			if requests[m[1]] != nil {
				return c.Path + ".resources.requests." + m[1]
			}
		}
		return ""
	}
	for _, w := range []struct{ words, field string }{
		{"claim ", "volumes"}, {"PersistentVolumeClaim", "volumes"}, {"volume node affinity", "volumes"},
		{"didn't match Pod's node affinity", "affinity"}, {"didn't match pod anti-affinity", "affinity"},
		{"didn't match pod affinity", "affinity"}, {"topology spread", "topologySpreadConstraints"},
		{"free ports", "containers"}, {"untolerated taint", "tolerations"},
	} {
		switch {
		case !strings.Contains(message, w.words):
			continue
		case w.field == "containers":
			return hostPort(spec, path)
		case w.field == "volumes":
			return claimVolume(spec, path)
		case w.field == "affinity" && spec["nodeSelector"] != nil:
			w.field = "nodeSelector"
		}
		return object.Join(path, w.field)
	}
	return ""
}

// hostPort is the first port of a pod that is taken on its node.
func hostPort(spec map[string]any, path string) string {
	for _, c := range object.Containers(spec, path) {
		ports, _ := c.Body["ports"].([]any)
		for i, step := range object.Elements(ports) {
			if object.Mapping(ports[i])["hostPort"] != nil {
				return c.Path + ".ports" + step + ".hostPort"
			}
		}
	}
	return object.Join(path, "hostNetwork")
}

// claimVolume is the first volume of a pod that has a claim.
func claimVolume(spec map[string]any, path string) string {
	volumes, _ := spec["volumes"].([]any)
	for i, step := range object.Elements(volumes) {
		if object.Mapping(volumes[i])["persistentVolumeClaim"] != nil {
			return object.Join(path, "volumes") + step + ".persistentVolumeClaim"
		}
	}
	return object.Join(path, "volumes")
}

var (
	exceeded = lazyregexp.New(`requested: ((?:requests\.|limits\.)?[a-z-]+)=`)
	ranged   = lazyregexp.New(`(?:maximum|minimum) (\S+) usage per \w+ is \S+ but (limit|request) is`)
	insecure = lazyregexp.New(`containers? "([^"]+)"[^()]* must (?:not )?set (securityContext[A-Za-z.]*)`)
)

// rejected is the part of a workload for which the API server does not create its pods.
func rejected(desired object.Object, message string) string {
	spec, path, _ := desired.PodSpec()
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "serviceaccount "), strings.Contains(lower, "service account "):
		return object.Join(path, "serviceAccountName")
	case strings.Contains(lower, "violates podsecurity"):
		return insecurePart(spec, path, message)
	case strings.Contains(lower, "priorityclass"), strings.Contains(lower, "priority class"):
		return object.Join(path, "priorityClassName")
	}
	if m := exceeded().FindStringSubmatch(message); m != nil {
		if m[1] == "pods" {
			return "spec.replicas"
		}
		part := m[1]
		if !strings.Contains(part, ".") {
			part = "requests." + part
		}
		return resourceField(spec, path, part)
	}
	if m := ranged().FindStringSubmatch(message); m != nil {
		return resourceField(spec, path, m[2]+"s."+m[1])
	}
	if strings.Contains(lower, "failed quota") {
		return resourceField(spec, path, "")
	}
	return Mentioned(desired, message)
}

// resourceField is a part of the resources of the first container that states it, or of the first container.
func resourceField(spec map[string]any, path, part string) string {
	all := object.Containers(spec, path)
	for _, c := range all {
		if _, ok := object.Value(c.Body, dotted("resources."+part)); ok {
			return c.Path + ".resources." + part
		}
	}
	if len(all) == 0 {
		return ""
	}
	return strings.TrimSuffix(all[0].Path+".resources."+part, ".")
}

func dotted(path string) []object.Step {
	var steps []object.Step
	for key := range strings.SplitSeq(path, ".") {
		steps = append(steps, object.Step{Key: key})
	}
	return steps
}

// insecurePart is the part of a pod's spec that Pod Security forbids, or misses.
func insecurePart(spec map[string]any, path, message string) string {
	if m := insecure().FindStringSubmatch(message); m != nil {
		for _, c := range object.Containers(spec, path) {
			if c.Body["name"] == m[1] {
				return c.Path + "." + m[2]
			}
		}
	}
	for _, field := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if strings.Contains(message, field) {
			return object.Join(path, field)
		}
	}
	if strings.Contains(message, "hostPort") {
		return hostPort(spec, path)
	}
	if strings.Contains(message, "volume") {
		return object.Join(path, "volumes")
	}
	return object.Join(path, "securityContext")
}

// configuration is the part of a pod's spec that the kubelet cannot carry out: a name of a missing object, or
// of a missing key of one, or a user that the pod forbids.
func configuration(spec map[string]any, path string, d symptom) string {
	name, key := "", ""
	switch m, k, v := missingObject().FindStringSubmatch(d.message), missingKey().FindStringSubmatch(d.message),
		missingItem().FindStringSubmatch(d.message); {
	case m != nil:
		name = m[2]
	case k != nil:
		name, key = k[3], k[1]
	case v != nil:
		return object.Join(path, "volumes") + "[name=" + v[1] + "]"
	default:
		return nonRoot(spec, path, d)
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
		if from, _ := c.Body["envFrom"].([]any); key == "" && names(from, name) >= 0 {
			return fmt.Sprintf("%s.envFrom[%d]", c.Path, names(from, name))
		}
	}
	volumes, _ := spec["volumes"].([]any)
	if i := names(volumes, name); i >= 0 {
		return object.Join(path, "volumes") + object.Elements(volumes)[i]
	}
	return ""
}

// nonRoot is where a pod forbids to run as root.
func nonRoot(spec map[string]any, path string, d symptom) string {
	if !strings.Contains(d.message, "root") {
		return ""
	}
	for _, c := range object.Containers(spec, path) {
		if c.Body["name"] == d.container && object.Mapping(c.Body["securityContext"])["runAsNonRoot"] != nil {
			return c.Path + ".securityContext.runAsNonRoot"
		}
	}
	return path + ".securityContext.runAsNonRoot"
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
