package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	valid "k8s.io/apimachinery/pkg/util/validation"

	"slipway/internal/object"
)

// demand is what the API server requires of a field beyond its type.
type demand struct {
	needed bool
	// what returns why a value is refused; empty where it is accepted.
	what func(v any) string
}

var (
	there    = demand{needed: true}
	port     = demand{true, portNumber}
	someport = demand{false, func(v any) string {
		if s, ok := v.(string); ok {
			return first(valid.IsValidPortName(s))
		}
		return portNumber(v)
	}}
	portname = demand{false, text(valid.IsValidPortName)}
	label    = demand{true, text(valid.IsDNS1123Label)}
	protocol = oneOf("SCTP TCP UDP")
	scheme   = oneOf("HTTP HTTPS")
)

// oneOf is for fields whose values the API lists.
func oneOf(known string) demand {
	names := strings.Fields(known)
	return demand{false, func(v any) string {
		if s, ok := v.(string); ok && !slices.Contains(names, s) {
			return "is not one of " + strings.Join(names, ", ") + didYouMean(s, names)
		}
		return ""
	}}
}

func portNumber(v any) string {
	if i, ok := whole(v); ok && (i < 1 || i > 65535) {
		return "is not a port between 1 and 65535"
	}
	return ""
}

// text is for strings; the type of other values is wrong, which value reports.
func text(ask func(string) []string) func(any) string {
	return func(v any) string {
		s, ok := v.(string)
		if !ok {
			return ""
		}
		return first(ask(s))
	}
}

func first(messages []string) string {
	if len(messages) == 0 {
		return ""
	}
	m, _, _ := strings.Cut(messages[0], " (e.g.")
	return "is invalid: " + m
}

// ofKinds are the demands by version and kind, ofPods those of what runs pods, below the pod's spec.
var (
	ofKinds = map[string]map[string]demand{
		"v1 Service": {"spec.ports[].port": port, "spec.ports[].targetPort": someport, "spec.ports[].name": {false,
			text(valid.IsDNS1123Label)},
			"spec.ports[].protocol": protocol, "spec.type": oneOf("ClusterIP ExternalName LoadBalancer NodePort")},
		"networking.k8s.io/v1 Ingress": {"spec.rules[].http.paths[].pathType": {true,
			oneOf("Exact ImplementationSpecific Prefix").what}, "spec.rules[].http.paths[].backend": there,
			"spec.rules[].http.paths[].backend.service.name":        there,
			"spec.rules[].http.paths[].backend.service.port.number": {false, portNumber}},
		"autoscaling/v2 HorizontalPodAutoscaler": {"spec.maxReplicas": there,
			"spec.scaleTargetRef.kind": there, "spec.scaleTargetRef.name": there},
		"batch/v1 CronJob": {"spec.schedule": there,
			"spec.jobTemplate.spec.template.spec": there, "spec.concurrencyPolicy": oneOf("Allow Forbid Replace")},
		"batch/v1 Job": {"spec.template.spec": there},
		"apps/v1 Deployment": {"spec.selector": there, "spec.template.spec": there,
			"spec.strategy.type": oneOf("Recreate RollingUpdate")},
		"apps/v1 StatefulSet":                             {"spec.selector": there, "spec.template.spec": there},
		"apps/v1 DaemonSet":                               {"spec.selector": there, "spec.template.spec": there},
		"apps/v1 ReplicaSet":                              {"spec.selector": there, "spec.template.spec": there},
		"v1 PersistentVolumeClaim":                        {"spec.accessModes": there, "spec.resources": there},
		"rbac.authorization.k8s.io/v1 RoleBinding":        {"roleRef.kind": there, "roleRef.name": there},
		"rbac.authorization.k8s.io/v1 ClusterRoleBinding": {"roleRef.kind": there, "roleRef.name": there},
	}
	ofPods = map[string]demand{"containers": there, "volumes[].name": label,
		"dnsPolicy":              oneOf("ClusterFirst ClusterFirstWithHostNet Default None"),
		"tolerations[].effect":   oneOf("NoExecute NoSchedule PreferNoSchedule"),
		"tolerations[].operator": oneOf("Equal Exists Gt Lt"),
		"topologySpreadConstraints[].whenUnsatisfiable": oneOf("DoNotSchedule ScheduleAnyway")}
)

// ofContainers holds for containers and initContainers.
var ofContainers = map[string]demand{
	"name": label, "image": there, "ports[].containerPort": port, "ports[].name": portname,
	"ports[].hostPort": {false, hostPort},
	"imagePullPolicy":  oneOf("Always IfNotPresent Never"), "ports[].protocol": protocol,
	"livenessProbe.httpGet.scheme": scheme, "readinessProbe.httpGet.scheme": scheme,
	"startupProbe.httpGet.scheme": scheme,
	"env[].name":                  there, "volumeMounts[].name": there, "volumeMounts[].mountPath": there,
	"livenessProbe.httpGet.port": someport, "readinessProbe.httpGet.port": someport,
	"startupProbe.httpGet.port":    someport,
	"livenessProbe.tcpSocket.port": someport, "readinessProbe.tcpSocket.port": someport,
	"startupProbe.tcpSocket.port": someport,
}

func hostPort(v any) string {
	if i, ok := whole(v); ok && i == 0 { // 0 means none
		return ""
	}
	return portNumber(v)
}

// checkFields validates the fields of a built-in kind.
func checkFields(r *report) {
	kind := r.object.APIVersion() + " " + r.object.Ref().Kind
	checkDemands(r, "", r.object.Body, ofKinds[kind])
	checkRelations(r, kind, object.Mapping(r.object.Body["spec"]))
	spec, at, ok := r.object.PodSpec()
	if !ok {
		return
	}
	checkDemands(r, at, spec, ofPods)
	for _, list := range []string{"containers", "initContainers"} {
		below := make(map[string]demand, len(ofContainers))
		for p, d := range ofContainers {
			below[list+"[]."+p] = d
		}
		checkDemands(r, at, spec, below)
	}
	checkPod(r, spec, at)
}

// checkRelations validates fields of a kind against each other.
func checkRelations(r *report, kind string, spec map[string]any) {
	least, _ := whole(spec["minReplicas"])
	most, said := whole(spec["maxReplicas"])
	switch ports, _ := spec["ports"].([]any); {
	case kind == "v1 Service" && len(ports) == 0 && spec["type"] != "ExternalName" &&
		spec["clusterIP"] != "None":
		r.missing("spec.ports")
	case kind == "v1 Service" && len(ports) > 1:
		for i, step := range object.Elements(ports) {
			if empty(object.Mapping(ports[i])["name"]) {
				r.missing("spec.ports" + step + ".name")
			}
		}
	case kind == "policy/v1 PodDisruptionBudget" && spec["minAvailable"] != nil && spec["maxUnavailable"] != nil:
		r.add(invalidValue.New(r.object, "spec.maxUnavailable",
			"minAvailable and maxUnavailable are both set: the API server accepts only one"), "Remove one of them.")
	case kind == "autoscaling/v2 HorizontalPodAutoscaler" && said && least > most:
		r.add(invalidValue.New(r.object, "spec.minReplicas", "minReplicas is %d and maxReplicas only %d", least,
			most),
			"Swap the two values.")
	}
}

// checkContainer validates requests against limits, and mounts against the pod's volumes.
func checkContainer(r *report, c map[string]any, at string, volumes []string) {
	requests, limits := object.Mapping(object.Mapping(c["resources"])["requests"]),
		object.Mapping(object.Mapping(c["resources"])["limits"])
	for _, what := range slices.Sorted(maps.Keys(limits)) {
		asked, err := resource.ParseQuantity(fmt.Sprint(requests[what]))
		most, err2 := resource.ParseQuantity(fmt.Sprint(limits[what]))
		if err == nil && err2 == nil && asked.Cmp(most) > 0 {
			r.add(invalidValue.New(r.object, object.Join(at+".resources.requests", what),
				"the request of %s %s is above the limit of %s", &asked, what, &most),
				"Raise the limit, or lower the request.")
		}
	}
	mounts, _ := c["volumeMounts"].([]any)
	for i, step := range object.Elements(mounts) {
		if name, _ := object.Mapping(mounts[i])["name"].(string); name != "" && !slices.Contains(volumes, name) {
			r.add(invalidValue.New(r.object, at+".volumeMounts"+step+".name",
				"the pod has no volume %s to mount%s", name, didYouMean(name, volumes)), "")
		}
	}
}

func checkDemands(r *report, at string, v any, demands map[string]demand) {
	for _, p := range slices.Sorted(maps.Keys(demands)) {
		checkDemand(r, at, v, strings.Split(p, "."), demands[p])
	}
}

// checkDemand checks a demand at each place that a pattern ("ports[].name") leads to. Where a part of the
// path is missing it checks nothing: another field may stand in its place.
func checkDemand(r *report, at string, v any, pattern []string, d demand) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	key, isList := strings.CutSuffix(pattern[0], "[]")
	at = object.Join(at, key)
	switch {
	case isList:
		list, _ := m[key].([]any)
		for i, name := range object.Elements(list) {
			checkDemand(r, at+name, list[i], pattern[1:], d)
		}
	case len(pattern) > 1:
		checkDemand(r, at, m[key], pattern[1:], d)
	case empty(m[key]) && d.needed:
		r.missing(at)
	case !empty(m[key]) && d.what != nil:
		if what := d.what(m[key]); what != "" {
			r.add(invalidValue.New(r.object, at, "%s: %v %s", at, m[key], what), "")
		}
	}
}

func empty(v any) bool {
	list, isList := v.([]any)
	return v == nil || v == "" || isList && len(list) == 0
}

func (r *report) missing(at string) {
	fix := "Add `" + at + "`."
	if strings.HasSuffix(at, "].image") { // a patch with a misspelled name adds a container
		fix = "Add `" + at + "`, or correct the container's name."
	}
	r.add(requiredField.New(r.object, at, "%s is missing: the API server refuses the object", at), fix)
}

// checkPod validates the parts of a pod against each other.
func checkPod(r *report, spec map[string]any, at string) {
	restart, _ := spec["restartPolicy"].(string)
	kind, seen := r.object.Ref().Kind, map[string]bool{}
	switch field := object.Join(at, "restartPolicy"); {
	case (kind == "Job" || kind == "CronJob") && restart != "OnFailure" && restart != "Never":
		r.add(invalidValue.New(r.object, field,
			"the pods of a %s need restartPolicy OnFailure or Never: the API server refuses Always, the default",
			kind),
			"Set `restartPolicy: OnFailure`.")
	case strings.HasPrefix(r.object.APIVersion(), "apps/") && restart != "" && restart != "Always":
		r.add(invalidValue.New(r.object, field, "the pods of a %s cannot have restartPolicy %s", kind, restart),
			"Remove it: Always is the default.")
	}
	var volumes []string
	for _, named := range []any{spec["volumes"], r.object.At("spec", "volumeClaimTemplates")} {
		for _, v := range object.Mappings(named) {
			for _, m := range []map[string]any{v, object.Mapping(v["metadata"])} {
				name, _ := m["name"].(string)
				volumes = append(volumes, name)
			}
		}
	}
	for _, list := range []string{"containers", "initContainers"} {
		containers, _ := spec[list].([]any)
		for i, step := range object.Elements(containers) {
			checkContainer(r, object.Mapping(containers[i]), object.Join(at, list)+step, volumes)
			name, _ := object.Mapping(containers[i])["name"].(string)
			if name != "" && seen[name] {
				r.add(invalidValue.New(r.object, object.Join(at, list)+step+".name", "two containers are called %s",
					name), "Rename one of them.")
			}
			seen[name] = true
		}
	}
	if r.object.APIVersion() == "apps/v1" {
		checkSelector(r)
	}
}

// checkSelector compares a workload's selector with the labels of its pod template.
func checkSelector(r *report) {
	raw, ok := r.object.At("spec", "selector").(map[string]any)
	pods, _, _ := r.object.PodMetadata()
	var wants metav1.LabelSelector
	if !ok || runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &wants) != nil {
		return
	}
	selector, err := metav1.LabelSelectorAsSelector(&wants)
	has := labels.Set{}
	for k, v := range object.Mapping(pods["labels"]) {
		has[k] = fmt.Sprint(v)
	}
	if err == nil && (selector.Empty() || !selector.Matches(has)) {
		r.add(selectorMismatch.New(r.object, "spec.selector",
			"selector %q does not match the pod labels %q: the API server refuses the object", selector, has),
			"Use the same labels in `spec.selector.matchLabels` and `spec.template.metadata.labels`.")
	}
}

// checkNames validates the object's name and labels.
func checkNames(r *report, minor int) {
	ref := r.object.Ref()
	ask := func(name string) []string { return validation.NameIsDNSSubdomain(name, false) }
	switch {
	case ref.Group == "rbac.authorization.k8s.io":
		ask = content.IsPathSegmentName
	case ref.Kind == "Service" && minor > 0 && minor < 36: // since then it may begin with a digit
		ask = valid.IsDNS1035Label
	case ref.Kind == "Service" || ref.Kind == "Namespace" || ref.Kind == "StatefulSet":
		ask = valid.IsDNS1123Label
	case ref.Group == "certificates.k8s.io" || ref.Name == "":
		ask = func(string) []string { return nil }
	}
	if what := first(ask(ref.Name)); what != "" {
		r.add(invalidName.New(r.object, "metadata.name", "name %q %s", ref.Name, what), "")
	}
	if ref.Kind == "CronJob" && len(ref.Name) > 52 {
		r.add(invalidName.New(r.object, "metadata.name",
			"the name %q has %d characters: a CronJob may have 52, as its Jobs get 11 more", ref.Name, len(ref.Name)),
			"")
	}
	checkLabels(r, "metadata", r.object.Body["metadata"])
	if pods, at, ok := r.object.PodMetadata(); ok && at != "metadata" {
		checkLabels(r, at, pods)
	}
}

func checkLabels(r *report, at string, metadata any) {
	for _, list := range []string{"labels", "annotations"} {
		m := object.Mapping(object.Mapping(metadata)[list])
		for _, k := range slices.Sorted(maps.Keys(m)) {
			field := object.Join(at+"."+list, k)
			key := k
			if list == "annotations" {
				key = strings.ToLower(k)
			}
			if what := first(valid.IsQualifiedName(key)); what != "" {
				r.add(invalidName.New(r.object, field, "key %q %s", k, what), "")
			}
			if v, ok := m[k].(string); ok && list == "labels" {
				if what := first(valid.IsValidLabelValue(v)); what != "" {
					r.add(invalidName.New(r.object, field, "label value %q %s", v, what), "")
				}
			}
		}
	}
}
