package object

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Status is one word on an object's condition; the words are kstatus's.
type Status string

// The statuses. Current means healthy: what was asked for has been observed and is there.
const (
	Current     Status = "Current"
	InProgress  Status = "InProgress"
	Failed      Status = "Failed"
	Terminating Status = "Terminating"
	Unknown     Status = "Unknown"
	NotFound    Status = "NotFound"
)

// Health is an object's condition, with one line for people.
type Health struct {
	Status  Status `json:"status"`
	Message string `json:"message,omitempty"`
}

// Unseen is the message of an object whose controller has not looked at it since it was changed.
const Unseen = "its controller has not seen it yet"

// WaitAnnotation lists an object among those that a deploy waits for ("true"), or takes it off
// that list ("false").
const WaitAnnotation = "slipway.dev/wait"

// Blocking says whether a deploy waits for the object. Workloads and what later stages need do
// block. The rest informs: a claim may rightly stay unbound until a pod uses it, and nobody can
// tell which custom resources ever report readiness.
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
}

// The rules for the kinds where kstatus's own are too lax for a deploy (it calls a running Job and
// a failed Pod current), too strict (an OnDelete or partitioned StatefulSet), or say too little.
// All other kinds are kstatus's.
var kindRules = map[string]kindRule{
	"apps/Deployment":  {deploymentHealth, true},
	"apps/StatefulSet": {statefulSetHealth, true},
	"apps/DaemonSet":   {daemonSetHealth, true},
	"apps/ReplicaSet":  {nil, true},
	"batch/Job":        {jobHealth, true},
	"Pod":              {podHealth, true},
	"Namespace":        {namespaceHealth, true},
	"apiextensions.k8s.io/CustomResourceDefinition": {nil, true},

	"PersistentVolumeClaim": {claimHealth, false},
	"argoproj.io/Rollout":   {rolloutHealth, false},
}

func (o Object) groupKind() string {
	r := o.Ref()
	if r.Group == "" {
		return r.Kind
	}
	return r.Group + "/" + r.Kind
}

// Health judges a live object. It looks at nothing but the object, and never panics, whatever a
// controller wrote into the status.
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
	if o.custom() && o.emptyStatus() {
		return Health{Unknown, "no controller has reported a status yet"}
	}
	return o.kstatus()
}

// observedGeneration also reads it where a controller writes a string (Argo Rollouts): kstatus
// would stop with an error there, for good. A string that is no number says nothing.
func (o Object) observedGeneration() (int64, bool) {
	if s, ok := o.At("status", "observedGeneration").(string); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	return o.int("status", "observedGeneration")
}

// stalled reads the conditions that mean the same for every kind, and a Ready condition that
// speaks of an older generation.
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

// kstatus asks the library, after taking away what it stumbles over and we have judged already.
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

// builtinGroups are Kubernetes' own: their kinds without a status are ready when they exist. A
// suffix will not do, since "gateway.networking.k8s.io" is a group of custom resources.
var builtinGroups = []string{
	"", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps",
	"autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
	"events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io",
	"networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
	"scheduling.k8s.io", "storage.k8s.io", "storagemigration.k8s.io",
}

func (o Object) custom() bool { return !slices.Contains(builtinGroups, o.Ref().Group) }

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
		// While old pods are left, "available" counts them too.
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
		return Health{Current, "suspended: it runs when somebody resumes it"}
	}
	if want, ok := o.int("spec", "completions"); ok && want > 1 {
		return Health{InProgress, fmt.Sprintf("%d of %d complete", succeeded, want)}
	}
	if o.intOr(0, "status", "active") > 0 {
		return Health{InProgress, "running"}
	}
	return Health{InProgress, "not started yet"}
}

func podHealth(o Object) Health {
	phase := o.str("status", "phase")
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
	return Health{InProgress, "not bound: waits for a volume, or for the first pod that uses it"}
}

func rolloutHealth(o Object) Health {
	message := o.str("status", "message")
	switch phase := o.str("status", "phase"); phase {
	case "Healthy":
		return Health{Current, "healthy"}
	case "Degraded":
		return Health{Failed, joinReason("", message, "degraded")}
	case "Progressing", "Paused":
		return Health{InProgress, joinReason("", message, strings.ToLower(phase))}
	}
	return Health{Unknown, "no controller has reported a status yet"}
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

// int also takes a float64 that is whole, the form that a plain JSON decoder gives.
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
