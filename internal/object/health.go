package object

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Status is an object's condition in the terms of kstatus.
type Status string

// The statuses. Current means healthy: the controller has observed the spec and achieved it.
const (
	Current     Status = "Current"
	InProgress  Status = "InProgress"
	Failed      Status = "Failed"
	Terminating Status = "Terminating"
	Unknown     Status = "Unknown"
	NotFound    Status = "NotFound"
)

// Health is an object's condition, with a line for people.
type Health struct {
	Status  Status `json:"status"`
	Message string `json:"message,omitempty"`
}

// Unseen is the message for an object whose controller has not observed the last change.
const Unseen = "its controller has not observed it yet"

// WaitAnnotation makes a deploy wait for an object ("true") or not wait ("false").
const WaitAnnotation = "slipway.dev/wait"

// Blocking reports whether a deploy waits for the object. It waits for workloads and for what later stages
// need. It does not wait for others: a claim may stay unbound until a pod uses it, and some custom resources
// never report readiness.
func (o Object) Blocking() bool {
	switch o.Annotations()[WaitAnnotation] {
	case "true":
		return true
	case "false":
		return false
	}
	return kindRules[o.groupKind()].blocking
}

type kindRule struct {
	health   func(Object) Health
	blocking bool
	external bool // see IsExternal
}

// kindRules replace those of kstatus where they are too lax for a deploy (a running Job and a failed Pod are
// current), too strict (an OnDelete or partitioned StatefulSet), or explain too little.
var kindRules = map[string]kindRule{
	"apps/Deployment":  {health: deploymentHealth, blocking: true},
	"apps/StatefulSet": {health: statefulSetHealth, blocking: true},
	"apps/DaemonSet":   {health: daemonSetHealth, blocking: true},
	"apps/ReplicaSet":  {blocking: true},
	"batch/Job":        {health: jobHealth, blocking: true},
	"Pod":              {health: podHealth, blocking: true},
	"Namespace":        {health: namespaceHealth, blocking: true},
	"apiextensions.k8s.io/CustomResourceDefinition": {blocking: true},

	"PersistentVolumeClaim": {health: claimHealth},
	"argoproj.io/Rollout":   {health: rolloutHealth, blocking: true},
	"flagger.app/Canary":    {health: canaryHealth, blocking: true},

	"cert-manager.io/Certificate":          {certificateHealth, true, true},
	"external-secrets.io/ExternalSecret":   {externalSecretHealth, true, true},
	"bitnami.com/SealedSecret":             {sealedSecretHealth, true, true},
	"gateway.networking.k8s.io/Gateway":    {gatewayHealth, true, true},
	"gateway.networking.k8s.io/HTTPRoute":  {routeHealth, true, true},
	"gateway.networking.k8s.io/GRPCRoute":  {routeHealth, true, true},
	"keda.sh/ScaledObject":                 {scaledObjectHealth, true, true},
	"monitoring.coreos.com/PrometheusRule": {health: existing},
	"monitoring.coreos.com/ServiceMonitor": {health: existing},
	"monitoring.coreos.com/PodMonitor":     {health: existing},
}

func (o Object) groupKind() string {
	r := o.Ref()
	if r.Group == "" {
		return r.Kind
	}
	return r.Group + "/" + r.Kind
}

// Health returns the condition of a live object. It never panics, whatever a controller has written into the
// status.
func (o Object) Health() Health {
	if s := o.str("metadata", "deletionTimestamp"); s != "" {
		return Health{Terminating, "is being deleted"}
	}
	observed, has := o.observedGeneration()
	if generation, ok := o.int("metadata", "generation"); ok && has && observed < generation {
		return Health{InProgress, Unseen}
	}
	if h, ok := o.stalled(); ok {
		return h
	}
	rule := kindRules[o.groupKind()].health
	if rule != nil {
		return rule(o)
	}
	if o.IsCustom() && o.emptyStatus() {
		return noController
	}
	return o.kstatus()
}

// observedGeneration accepts a string too, which Argo Rollouts writes: kstatus fails on it. It ignores a
// string that is not a number.
func (o Object) observedGeneration() (int64, bool) {
	if s, ok := o.At("status", "observedGeneration").(string); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return o.int("status", "observedGeneration")
}

// stalled reads the conditions that mean the same for every kind, and a Ready condition of an older
// generation.
func (o Object) stalled() (Health, bool) {
	if c, ok := o.condition("Reconciling"); ok && c.status == "True" {
		return Health{InProgress, c.text()}, true
	}
	if c, ok := o.condition("Stalled"); ok && c.status == "True" {
		return Health{Failed, c.text()}, true
	}
	generation, ok := o.int("metadata", "generation")
	if c, has := o.condition("Ready"); ok && has && c.generation != 0 && c.generation < generation {
		return Health{InProgress, Unseen}, true
	}
	return Health{}, false
}

// kstatus calls the library, without the field that it fails on and that we have checked.
func (o Object) kstatus() Health {
	body := o.Body
	if st, ok := body["status"].(map[string]any); ok {
		if _, isInt := st["observedGeneration"].(int64); !isInt {
			body = o.Clone().Body
			delete(body["status"].(map[string]any), "observedGeneration")
		}
	}
	res, err := status.Compute(&unstructured.Unstructured{Object: body})
	if err != nil {
		return Health{Unknown, err.Error()}
	}
	return Health{Status(res.Status), res.Message}
}

// builtinGroups are Kubernetes' own: their kinds without a status are ready when they exist. A suffix does
// not tell: "gateway.networking.k8s.io" is a group of custom resources.
var builtinGroups = []string{
	"", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
	"autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
	"events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io",
	"networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
	"scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
}

// IsCustom reports whether the kind is not one of Kubernetes' own.
func (o Object) IsCustom() bool { return !slices.Contains(builtinGroups, o.Ref().Group) }

func (o Object) emptyStatus() bool {
	m, ok := o.At("status").(map[string]any)
	return o.At("status") == nil || ok && len(m) == 0
}

func deploymentHealth(o Object) Health {
	if _, ok := o.int("status", "observedGeneration"); !ok {
		return Health{InProgress, Unseen}
	}
	want := o.intOr(1, "spec", "replicas")
	updated := o.intOr(0, "status", "updatedReplicas")
	old := o.intOr(0, "status", "replicas") - updated
	available := o.intOr(0, "status", "availableReplicas")
	if c, ok := o.condition("Progressing"); ok && c.reason == "ProgressDeadlineExceeded" {
		return Health{Failed, fmt.Sprintf("ProgressDeadlineExceeded: %s", ready(min(available, updated), want))}
	}
	switch {
	case o.At("spec", "paused") == true && (updated < want || old > 0):
		return Health{InProgress, "the rollout is paused"}
	case updated < want:
		return Health{InProgress, fmt.Sprintf("%d of %d updated", updated, want)}
	case old > 0:
		// While old pods remain, "available" counts them too.
		return Health{InProgress, fmt.Sprintf("%d of %d updated, %s left", updated, want, count(old, "old pod"))}
	case updated > want:
		return Health{InProgress, fmt.Sprintf("%s too many", count(updated-want, "pod"))}
	case available < want:
		return Health{InProgress, ready(available, want)}
	}
	return Health{Current, ready(available, want)}
}

func statefulSetHealth(o Object) Health {
	if _, ok := o.int("status", "observedGeneration"); !ok {
		return Health{InProgress, Unseen}
	}
	want := o.intOr(1, "spec", "replicas")
	have := o.intOr(0, "status", "replicas")
	updated := o.intOr(0, "status", "updatedReplicas")
	// availableReplicas honours minReadySeconds; very old controllers do not write it.
	available := o.intOr(o.intOr(0, "status", "readyReplicas"), "status", "availableReplicas")
	onDelete := o.str("spec", "updateStrategy", "type") == "OnDelete"
	partition := o.intOr(0, "spec", "updateStrategy", "rollingUpdate", "partition")
	current, update := o.str("status", "currentRevision"), o.str("status", "updateRevision")
	switch {
	case available < want:
		return Health{InProgress, ready(available, want)}
	case have > want:
		return Health{InProgress, fmt.Sprintf("%s too many", count(have-want, "pod"))}
	case onDelete && current != update:
		return Health{Current, fmt.Sprintf("%s, %s: update strategy OnDelete", ready(available, want),
			count(want-updated, "old pod"))}
	case partition > 0 && updated < want-partition:
		return Health{InProgress, fmt.Sprintf("%d of %d updated", updated, want-partition)}
	case partition > 0:
		return Health{Current, fmt.Sprintf("%s, %d updated: partition %d", ready(available, want),
			updated, partition)}
	case !onDelete && current != update && updated < want:
		return Health{InProgress, fmt.Sprintf("%d of %d updated", updated, want)}
	case !onDelete && current != update:
		return Health{InProgress, "the new revision is not complete yet"}
	}
	return Health{Current, ready(available, want)}
}

func daemonSetHealth(o Object) Health {
	want, ok := o.int("status", "desiredNumberScheduled")
	if _, observed := o.int("status", "observedGeneration"); !ok || !observed {
		return Health{InProgress, Unseen}
	}
	updated := o.intOr(0, "status", "updatedNumberScheduled")
	available := o.intOr(0, "status", "numberAvailable")
	switch {
	case updated < want && o.str("spec", "updateStrategy", "type") != "OnDelete":
		return Health{InProgress, fmt.Sprintf("%d of %d updated", updated, want)}
	case available < want:
		return Health{InProgress, ready(available, want)}
	case want == 0:
		return Health{Current, "no node matches"}
	}
	return Health{Current, ready(available, want)}
}

func jobHealth(o Object) Health {
	succeeded := o.intOr(0, "status", "succeeded")
	for _, name := range []string{"Failed", "FailureTarget"} {
		if c, ok := o.condition(name); ok && c.status == "True" {
			return Health{Failed, c.text()}
		}
	}
	if c, ok := o.condition("Complete"); ok && c.status == "True" {
		return Health{Current, "complete"}
	}
	if o.At("spec", "suspend") == true {
		return Health{Current, "suspended"}
	}
	if want, ok := o.int("spec", "completions"); ok && want > 1 {
		return Health{InProgress, fmt.Sprintf("%d of %d complete", succeeded, want)}
	}
	if o.intOr(0, "status", "active") > 0 {
		return Health{InProgress, "running"}
	}
	ended, _ := o.At("status", "uncountedTerminatedPods").(map[string]any)
	if len(ended) > 0 || succeeded > 0 {
		return Health{InProgress, "ending"}
	}
	return Health{InProgress, "not started yet"}
}

func podHealth(o Object) Health {
	phase := o.str("status", "phase")
	if phase == "Running" && o.IsHook() {
		return Health{InProgress, "running"} // a hook runs to its end
	}
	if phase == "Succeeded" {
		return Health{Current, "complete"}
	}
	if phase == "Failed" {
		return Health{Failed, joinReason(o.str("status", "reason"), o.str("status", "message"),
			"a container failed")}
	}
	if c, ok := o.condition("Ready"); ok && c.status == "True" && phase == "Running" {
		return Health{Current, "ready"}
	}
	if c, ok := o.condition("PodScheduled"); ok && c.status == "False" {
		return Health{InProgress, c.text()}
	}
	if phase == "Running" {
		return Health{InProgress, "running, not ready"}
	}
	return Health{InProgress, "starting"}
}

func namespaceHealth(o Object) Health {
	if phase := o.str("status", "phase"); phase != "Active" {
		return Health{InProgress, joinReason("", phase, "not active yet")}
	}
	return Health{Current, "active"}
}

func claimHealth(o Object) Health {
	switch phase := o.str("status", "phase"); phase {
	case "Bound":
		return Health{Current, "bound"}
	case "Lost":
		return Health{Failed, "its volume is lost"}
	}
	return Health{InProgress, "not bound: waiting for a volume, or for the first pod that uses it"}
}

func ready(n, want int64) string {
	if want == 0 {
		return "scaled to 0"
	}
	return fmt.Sprintf("%d of %d ready", n, want)
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func joinReason(reason, message, otherwise string) string {
	switch {
	case reason != "" && message != "":
		return reason + ": " + message
	case reason+message != "":
		return reason + message
	}
	return otherwise
}

type condition struct {
	status, reason, message string
	generation              int64
}

func (c condition) text() string { return joinReason(c.reason, c.message, "no reason given") }

func (o Object) condition(name string) (condition, bool) {
	for _, m := range Mappings(o.At("status", "conditions")) {
		if c := (Object{Body: m}); c.str("type") == name {
			return condition{c.str("status"), c.str("reason"), c.str("message"), c.intOr(0, "observedGeneration")},
				true
		}
	}
	return condition{}, false
}

// int also accepts a whole float64, which a plain JSON decoder returns.
func (o Object) int(path ...string) (int64, bool) {
	switch v := o.At(path...).(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

func (o Object) intOr(otherwise int64, path ...string) int64 {
	if n, ok := o.int(path...); ok {
		return n
	}
	return otherwise
}
