package contract

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/image/reference"
	"slipway/internal/object"
)

// line is one line of the contract, about some fields.
type line struct {
	class Class
	what  string
	when  when
	kinds string // empty: any
	// fields are paths with pod for the pod's spec, containers for initContainers too, [] for an element and
	// * for a key or a part of it. One stands for everything below it, unless it ends with $.
	fields string
	given  func(change) bool // nil: in any case
}

// when says which sides have the field.
type when int

const (
	always when = iota
	lost        // only A has it
	gained      // only B has it
	both
)

// nothing: another difference reports it.
const nothing Class = ""

const (
	workloads = "Pod Deployment StatefulSet DaemonSet ReplicaSet Job CronJob"
	edges     = "Ingress Service ServiceAccount Gateway HTTPRoute"
)

// table is the contract. The first line that covers a field decides; a field without a line is unexplained.
var table = []line{
	{Expected, "names", always, "", "metadata.name metadata.namespace", nil},
	{Expected, "placement", gained, workloads, "pod.affinity pod.topologySpreadConstraints$", nil},
	{Missing, "spread", lost, workloads, "pod.affinity pod.topologySpreadConstraints$", nil},
	{Expected, "labels", always, "",
		"metadata.labels podMetadata.labels spec.selector pod.topologySpreadConstraints[].labelSelector",
		namesEnvironment},
	{Expected, "version", always, "", "metadata.labels.* podMetadata.labels.*",
		endsIn("app.kubernetes.io/version", "helm.sh/chart")},
	{Expected, "checksum", always, "", "podMetadata.annotations.*", endsIn("checksum/")},
	{Expected, "annotations", always, edges, "metadata.annotations", nil},
	{Expected, "namespace", always, "Namespace", "metadata", nil},

	// What A has and B lacks. A laptop's mounts and tools are not missing elsewhere.
	{Missing, "container", lost, workloads, "pod.containers[]$", nil},
	{Unexplained, "container", gained, workloads, "pod.containers[]$", nil},
	{Expected, "source mount", lost, workloads, "pod.volumes[]$", isHostPath},
	{nothing, "", lost, workloads, "pod.containers[].volumeMounts[]$", followsVolume},
	{nothing, "", gained, workloads, "pod.containers[].volumeMounts[]$", followsVolume},
	{Expected, "scratch directory", gained, workloads, "pod.volumes[]$", isEmptyDir},
	{Unexplained, "volume", gained, workloads, "pod.volumes[]$ pod.containers[].volumeMounts[]$", nil},
	{Missing, "volume", lost, workloads, "pod.volumes[]$ pod.containers[].volumeMounts[]$", nil},
	{Missing, "probe", lost, workloads, "pod.containers[].*Probe$", nil},
	{Missing, "lifecycle", lost, workloads, "pod.containers[].lifecycle", nil},
	{Missing, "resources", lost, workloads, "pod.containers[].resources$ pod.containers[].resources.requests " +
		"pod.containers[].resources.limits$ pod.containers[].resources.limits.memory", nil},
	{Missing, "TLS", lost, "Ingress", "spec.tls$", nil},

	// The purpose of having several environments.
	{Expected, "replicas", always, workloads, "spec.replicas", nil},
	{Expected, "image", both, workloads, "pod.containers[].image", sameImage},
	{Expected, "image", always, workloads, "pod.containers[].imagePullPolicy pod.imagePullSecrets", nil},
	{Expected, "resources", always, workloads, "pod.containers[].resources", nil},
	{Expected, "resources", always, "ResourceQuota LimitRange", "spec", nil},
	{Expected, "settings", both, "ConfigMap Secret", "data.* binaryData.* stringData.*", nil},
	{Expected, "settings", gained, "ConfigMap Secret", "data.* binaryData.* stringData.*", nil},
	{Unexplained, "setting", lost, "ConfigMap Secret", "data.* binaryData.* stringData.*", nil},
	{Unexplained, "environment variable", lost, workloads, "pod.containers[].env[]$", nil},
	{Unexplained, "environment variable", gained, workloads, "pod.containers[].env[]$", nil},
	{Expected, "settings", always, workloads, "pod.containers[].env[].value pod.containers[].env[].valueFrom",
		nil},
	{Expected, "development command", always, workloads, "pod.containers[].command pod.containers[].args",
		dropsDevelopmentCommand},
	{Expected, "host", always, "Ingress", "spec.rules[].host spec.rules[]$ spec.ingressClassName", nil},
	{Expected, "TLS", always, "Ingress", "spec.tls", nil},
	{Expected, "host", always, "HTTPRoute GRPCRoute TLSRoute Gateway",
		"spec.hostnames spec.parentRefs spec.listeners spec.gatewayClassName", nil},
	{Expected, "TLS", always, "Certificate", "spec", nil},
	{Expected, "autoscaling", always, "HorizontalPodAutoscaler",
		"spec.minReplicas spec.maxReplicas spec.metrics spec.behavior", nil},
	{Expected, "disruption budget", always, "PodDisruptionBudget",
		"spec.minAvailable spec.maxUnavailable spec.unhealthyPodEvictionPolicy", nil},
	{Expected, "storage", always, "PersistentVolumeClaim", "spec.resources spec.storageClassName", nil},
	{Expected, "storage", always, "StatefulSet",
		"spec.volumeClaimTemplates[].spec.resources spec.volumeClaimTemplates[].spec.storageClassName", nil},
	{Expected, "exposure", both, "Service", "spec.type", nil},
	{Expected, "exposure", always, "Service",
		"spec.ports[].nodePort spec.loadBalancerClass spec.loadBalancerSourceRanges spec.externalTrafficPolicy",
		nil},
	{Expected, "schedule", both, "CronJob", "spec.schedule spec.suspend", nil},
	{Expected, "rollout", always, workloads, "spec.strategy spec.updateStrategy spec.minReadySeconds " +
		"spec.progressDeadlineSeconds spec.revisionHistoryLimit pod.terminationGracePeriodSeconds", nil},
	{Expected, "placement", always, workloads,
		"pod.nodeSelector pod.tolerations pod.priorityClassName pod.affinity pod.topologySpreadConstraints", nil},

	// What protects B, and A lacks.
	{Expected, "probe", gained, workloads, "pod.containers[].*Probe$ pod.containers[].lifecycle$", nil},
	{Expected, "probe timing", always, workloads,
		"pod.containers[].*Probe.*Seconds pod.containers[].*Probe.*Threshold", nil},
	{Unexplained, "privileges", gained, workloads,
		"pod.containers[].securityContext.privileged pod.containers[].securityContext.capabilities.add", nil},
	{Expected, "security", gained, workloads, "pod.securityContext pod.containers[].securityContext " +
		"pod.automountServiceAccountToken pod.serviceAccountName", nil},
	{Expected, "pod annotations", gained, workloads, "podMetadata.annotations", nil},
}

// protectors are kinds that only environments beyond the laptop need.
var protectors = strings.Fields(
	`HorizontalPodAutoscaler PodDisruptionBudget NetworkPolicy ServiceMonitor PodMonitor PrometheusRule
	Certificate Issuer Ingress HTTPRoute Gateway Namespace ResourceQuota LimitRange ExternalSecret SealedSecret VerticalPodAutoscaler ScaledObject`)

func protects(r object.Ref) bool { return slices.Contains(protectors, r.Kind) }

// change is a field of a pair as the table sees it.
type change struct {
	pair  pair
	field object.Field
	path  []string
	a, b  Side
}

// verdict is the answer of a line to a change.
type verdict int

const (
	silent verdict = iota
	speaks
	below // it would speak of a part of it
)

func (l line) on(c change) verdict {
	if l.kinds != "" && !slices.Contains(strings.Fields(l.kinds), c.pair.b.Ref().Kind) {
		return silent
	}
	a, b := c.field.Before != nil, c.field.After != nil
	if l.when == lost && b || l.when == gained && a || l.when == both && !(a && b) {
		return silent
	}
	whole := a != b && parts(c.field) != nil
	for _, f := range strings.Fields(l.fields) {
		f, exactly := strings.CutSuffix(f, "$")
		pattern := steps(f)
		n := min(len(pattern), len(c.path))
		if !slices.EqualFunc(pattern[:n], c.path[:n], fits) {
			continue
		}
		switch {
		case len(pattern) > n:
			if whole {
				return below
			}
		case exactly && len(c.path) > n:
		case l.given == nil || l.given(c):
			return speaks
		}
	}
	return silent
}

func fits(pattern, step string) bool {
	ok, _ := path.Match(pattern, strings.ReplaceAll(step, "/", "."))
	return pattern == step || ok && step != "[]"
}

func steps(pattern string) []string {
	return strings.Split(strings.ReplaceAll(pattern, "[]", ".[]"), ".")
}

// shape converts a path to the form of the table's fields.
func shape(o object.Object, path string) []string {
	_, spec, _ := o.PodSpec()
	_, metadata, _ := o.PodMetadata()
	pod := ""
	if rest, ok := within(path, spec); ok {
		pod, path = "pod", rest
	} else if rest, ok := within(path, metadata); ok && metadata != "metadata" {
		pod, path = "podMetadata", rest
	}
	var out []string
	if pod != "" {
		out = append(out, pod)
	}
	parsed, err := object.Steps(path)
	if err != nil {
		return append(out, path) // an odd key, which no line covers
	}
	for _, s := range parsed {
		switch {
		case s.Element:
			out = append(out, "[]")
		case s.Key == "initContainers" && len(out) == 1 && pod == "pod":
			out = append(out, "containers")
		default:
			out = append(out, s.Key)
		}
	}
	return out
}

// within cuts a path's beginning off.
func within(path, above string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, above)
	ok = ok && above != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
	return strings.TrimPrefix(rest, "."), ok
}

// parts splits a field that only one side has: a mapping by its keys, a list by its elements.
func parts(f object.Field) []object.Field {
	value := f.Before
	if value == nil {
		value = f.After
	}
	var out []object.Field
	part := func(path string, v any) {
		if f.Before != nil {
			out = append(out, object.Field{Path: path, Before: v})
		} else {
			out = append(out, object.Field{Path: path, After: v})
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			part(object.Join(f.Path, k), v[k])
		}
	case []any:
		for i, e := range v {
			m, ok := e.(map[string]any)
			if !ok {
				return nil
			}
			step := fmt.Sprintf("[%d]", i)
			if name, ok := m["name"].(string); ok {
				step = "[name=" + name + "]"
			}
			part(f.Path+step, e)
		}
	}
	return out
}

// moved treats a lost Ingress rule and a gained one as a rule whose host changed, so that their other
// differences are seen.
func moved(fields []object.Field, o object.Object) []object.Field {
	if o.Ref().Kind != "Ingress" {
		return fields
	}
	one := func(lost bool) int {
		at := -1
		for i, f := range fields {
			if strings.HasPrefix(f.Path, "spec.rules[") && strings.HasSuffix(f.Path, "]") &&
				(f.After == nil) == lost && (f.Before == nil) != lost {
				if at >= 0 {
					return -1
				}
				at = i
			}
		}
		return at
	}
	i, j := one(true), one(false)
	if i < 0 || j < 0 {
		return fields
	}
	inner := object.Differences(fields[i].Before, fields[j].After, object.Shown{}, false)
	for k, f := range inner {
		inner[k].Path = fields[j].Path + "." + f.Path
	}
	rest := append(slices.Clone(fields[:min(i, j)]), fields[min(i, j)+1:max(i, j)]...)
	return append(append(rest, fields[max(i, j)+1:]...), inner...)
}

// namesEnvironment: the label's value says which environment it is.
func namesEnvironment(c change) bool {
	says := func(v any, s Side) bool {
		text, _ := v.(string)
		return v == nil || slices.Contains(added(s.Environment), text)
	}
	return says(c.field.Before, c.a) && says(c.field.After, c.b)
}

func endsIn(keys ...string) func(change) bool {
	return func(c change) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(c.path[len(c.path)-1], k) })
	}
}

// isHostPath: the volume is a directory of the node.
func isHostPath(c change) bool {
	v, _ := c.field.Before.(map[string]any)
	return v["hostPath"] != nil
}

func isEmptyDir(c change) bool {
	v, _ := c.field.After.(map[string]any)
	return v["emptyDir"] != nil
}

// followsVolume: the mounted volume is on one side only, and is reported.
func followsVolume(c change) bool {
	has := func(o *object.Object, name any) bool {
		spec, _, _ := o.PodSpec()
		return slices.ContainsFunc(object.Mappings(spec["volumes"]), func(v map[string]any) bool {
			return v["name"] == name
		})
	}
	mount, ok := c.field.Before.(map[string]any)
	if !ok {
		mount, _ = c.field.After.(map[string]any)
	}
	return has(c.pair.a, mount["name"]) != has(c.pair.b, mount["name"])
}

// sameImage: the two are builds of one image, in any registry.
func sameImage(c change) bool {
	return imageName(c.field.Before) == imageName(c.field.After)
}

func imageName(v any) string {
	repository := reference.Parse(fmt.Sprint(v)).Repository
	return repository[strings.LastIndex(repository, "/")+1:]
}
