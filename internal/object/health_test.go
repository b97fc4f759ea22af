package object_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// live decodes as the dynamic client does: whole numbers become int64.
func live(t *testing.T, text string) object.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return object.Object{Body: u.Object}
}

type healthCase struct {
	name, body string
	want       object.Health
}

func checkHealth(t *testing.T, head string, cases []healthCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := live(t, head+c.body).Health()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("health (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	healthy  = object.Current
	progress = object.InProgress
)

func TestHealthDeployment(t *testing.T) {
	checkHealth(t, "{apiVersion: apps/v1, kind: Deployment, ", []healthCase{
		{"just created", `metadata: {name: a, generation: 1}, spec: {replicas: 3}, status: {}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"just created with no replicas", `metadata: {name: a, generation: 1}, spec: {replicas: 0}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"changed, the status is still the old one's", `metadata: {name: a, generation: 2}, spec: {replicas: 2},
			status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"the old pods are ready, the new one is not", `metadata: {name: a, generation: 2}, spec: {replicas: 2},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 1, readyReplicas: 2, availableReplicas: 2}}`,
			object.Health{Status: progress, Message: "1 of 2 updated"}},
		{"all updated, an old pod still counts as available",
			`metadata: {name: a, generation: 2}, spec: {replicas: 2},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2}}`,
			object.Health{Status: progress, Message: "2 of 2 updated, 1 old pod left"}},
		{"ready, not yet for minReadySeconds",
			`metadata: {name: a, generation: 2}, spec: {replicas: 3, minReadySeconds: 10},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 2}}`,
			object.Health{Status: progress, Message: "2 of 3 ready"}},
		{"scaled down, pods left", `metadata: {name: a, generation: 2}, spec: {replicas: 1},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}}`,
			object.Health{Status: progress, Message: "2 pods too many"}},
		{"progress deadline", `metadata: {name: a, generation: 2}, spec: {replicas: 2},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 1, availableReplicas: 2, conditions: [
			{type: Available, status: "True"}, {type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}}`,
			object.Health{Status: object.Failed, Message: "ProgressDeadlineExceeded: 1 of 2 ready"}},
		{"progress deadline of the change before", `metadata: {name: a, generation: 3}, spec: {replicas: 2},
			status: {observedGeneration: 2, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"paused half way", `metadata: {name: a, generation: 2}, spec: {replicas: 2, paused: true},
			status: {observedGeneration: 2, replicas: 2, availableReplicas: 2}}`,
			object.Health{Status: progress, Message: "the rollout is paused"}},
		{"replicas defaulted", `metadata: {name: a, generation: 1}, spec: {},
			status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}`,
			object.Health{Status: healthy, Message: "1 of 1 ready"}},
		{"scaled to nothing", `metadata: {name: a, generation: 4}, spec: {replicas: 0}, status: {observedGeneration: 4}}`,
			object.Health{Status: healthy, Message: "scaled to 0"}},
		{"healthy", `metadata: {name: a, generation: 2}, spec: {replicas: 3},
			status: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, terminatingReplicas: 1,
			conditions: [{type: Progressing, status: "True", reason: NewReplicaSetAvailable}]}}`,
			object.Health{Status: healthy, Message: "3 of 3 ready"}},
		{"being deleted", `metadata: {name: a, generation: 2, deletionTimestamp: "2026-11-01T00:00:00Z"}}`,
			object.Health{Status: object.Terminating, Message: "is being deleted"}},
	})
}

func TestHealthStatefulSet(t *testing.T) {
	checkHealth(t, "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, generation: 2}, ", []healthCase{
		{"not seen", `spec: {replicas: 0}}`, object.Health{Status: progress, Message: object.Unseen}},
		{"old pods ready, none updated",
			`spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, readyReplicas: 2,
			availableReplicas: 2, currentReplicas: 2, currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: progress, Message: "0 of 2 updated"}},
		{"one is down for its update",
			`spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, readyReplicas: 1,
			availableReplicas: 1, updatedReplicas: 1, currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: progress, Message: "1 of 2 ready"}},
		{"all updated, revision not yet taken over",
			`spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, readyReplicas: 2,
			availableReplicas: 2, updatedReplicas: 2, currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: progress, Message: "the new revision is not complete yet"}},
		{"partition reached", `spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}},
			status: {observedGeneration: 2, replicas: 3, readyReplicas: 3, availableReplicas: 3, updatedReplicas: 1, currentReplicas: 2,
			currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: healthy, Message: "3 of 3 ready, 1 updated: partition 2"}},
		{"partition not reached",
			`spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}},
			status: {observedGeneration: 2, replicas: 3, readyReplicas: 3, availableReplicas: 3, updatedReplicas: 1,
			currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: progress, Message: "1 of 2 updated"}},
		{"on delete", `spec: {replicas: 2, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 2, replicas: 2,
			readyReplicas: 2, availableReplicas: 2, updatedReplicas: 1, currentRevision: a-1, updateRevision: a-2}}`,
			object.Health{Status: healthy, Message: "2 of 2 ready, 1 old pod: update strategy OnDelete"}},
		{"on delete, not ready",
			`spec: {replicas: 2, updateStrategy: {type: OnDelete}}, status: {observedGeneration: 2, replicas: 2,
			readyReplicas: 1, availableReplicas: 1, currentRevision: a-1, updateRevision: a-1}}`,
			object.Health{Status: progress, Message: "1 of 2 ready"}},
		{"healthy", `spec: {replicas: 2}, status: {observedGeneration: 2, replicas: 2, readyReplicas: 2, availableReplicas: 2,
			updatedReplicas: 2, currentReplicas: 2, currentRevision: a-2, updateRevision: a-2}}`,
			object.Health{Status: healthy, Message: "2 of 2 ready"}},
	})
}

func TestHealthDaemonSet(t *testing.T) {
	checkHealth(t, "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, generation: 2}, ", []healthCase{
		{"not seen", `spec: {}}`, object.Health{Status: progress, Message: object.Unseen}},
		{"half updated", `spec: {}, status: {observedGeneration: 2, desiredNumberScheduled: 3, updatedNumberScheduled: 1, numberAvailable: 2}}`,
			object.Health{Status: progress, Message: "1 of 3 updated"}},
		{"updated, not ready", `spec: {}, status: {observedGeneration: 2, desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2}}`,
			object.Health{Status: progress, Message: "2 of 3 ready"}},
		{"on delete", `spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 2, desiredNumberScheduled: 3, numberAvailable: 3}}`,
			object.Health{Status: healthy, Message: "3 of 3 ready"}},
		{"no node matches", `spec: {}, status: {observedGeneration: 2, desiredNumberScheduled: 0}}`,
			object.Health{Status: healthy, Message: "no node matches"}},
	})
}

func TestHealthJob(t *testing.T) {
	checkHealth(t, "{apiVersion: batch/v1, kind: Job, metadata: {name: a, generation: 1}, ", []healthCase{
		{"not started", `spec: {}}`, object.Health{Status: progress, Message: "not started yet"}},
		{"running is not done", `spec: {completions: 1}, status: {startTime: "2026-11-01T00:00:00Z", active: 1, ready: 1}}`,
			object.Health{Status: progress, Message: "running"}},
		{"its pod has ended", `spec: {completions: 1}, status: {uncountedTerminatedPods: {succeeded: [a]}}}`,
			object.Health{Status: progress, Message: "ending"}},
		{"its pod is counted", `spec: {completions: 1}, status: {succeeded: 1, uncountedTerminatedPods: {}}}`,
			object.Health{Status: progress, Message: "ending"}},
		{"some done", `spec: {completions: 3}, status: {active: 1, succeeded: 1}}`, object.Health{Status: progress,
			Message: "1 of 3 complete"}},
		{"suspended", `spec: {suspend: true}, status: {conditions: [{type: Suspended, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "suspended"}},
		{"back-off limit", `spec: {}, status: {failed: 2, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded,
			message: Job has reached the specified backoff limit}]}}`,
			object.Health{Status: object.Failed,
				Message: "BackoffLimitExceeded: Job has reached the specified backoff limit"}},
		{"about to fail", `spec: {}, status: {failed: 2, conditions: [{type: FailureTarget, status: "True", reason: BackoffLimitExceeded}]}}`,
			object.Health{Status: object.Failed, Message: "BackoffLimitExceeded"}},
		{"succeeded, pods still ending",
			`spec: {}, status: {succeeded: 1, active: 1, conditions: [{type: SuccessCriteriaMet, status: "True"}]}}`,
			object.Health{Status: progress, Message: "running"}},
		{"complete", `spec: {}, status: {succeeded: 1, conditions: [{type: Complete, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "complete"}},
	})
}

func TestHealthPod(t *testing.T) {
	checkHealth(t, "{apiVersion: v1, kind: Pod, metadata: {name: a}, ", []healthCase{
		{"new", `spec: {}}`, object.Health{Status: progress, Message: "starting"}},
		{"running, not ready", `status: {phase: Running, conditions: [{type: Ready, status: "False"}]}}`,
			object.Health{Status: progress, Message: "running, not ready"}},
		{"failed is not current",
			`status: {phase: Failed, reason: Evicted, message: "The node was low on resource: memory."}}`,
			object.Health{Status: object.Failed, Message: "Evicted: The node was low on resource: memory."}},
		{"nothing fits", `status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes are available}]}}`,
			object.Health{Status: progress, Message: "Unschedulable: 0/3 nodes are available"}},
		{"ready", `status: {phase: Running, conditions: [{type: Ready, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "ready"}},
		{"done", `status: {phase: Succeeded}}`, object.Health{Status: healthy, Message: "complete"}},
	})
}

// What exists is healthy, or is judged by one field.
func TestHealthOthers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     object.Status
		blocking   bool
	}{
		{"config map", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, healthy, false},
		{"secret", `{apiVersion: v1, kind: Secret, metadata: {name: a}}`, healthy, false},
		{"service", `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}`, healthy, false},
		{"load balancer without an address",
			`{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}}`,
			healthy, false},
		{"ingress without an address",
			`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a, generation: 1}, status: {loadBalancer: {}}}`, healthy, false},
		{"autoscaler without metrics",
			`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a},
			status: {desiredReplicas: 3, conditions: [{type: ScalingActive, status: "False", reason: FailedGetResourceMetric}]}}`, healthy, false},
		{"disruption budget", `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: a, generation: 1},
			status: {observedGeneration: 1, conditions: [{type: DisruptionAllowed, status: "False", reason: InsufficientPods}]}}`, healthy, false},
		{"cron job", `{apiVersion: batch/v1, kind: CronJob, metadata: {name: a, generation: 1}, status: {}}`,
			healthy, false},
		{"service account", `{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}`, healthy, false},
		{"network policy", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, generation: 1}}`, healthy, false},
		{"claim unbound", `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Pending}}`, progress, false},
		{"claim bound", `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Bound}}`, healthy, false},
		{"claim lost", `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, status: {phase: Lost}}`,
			object.Failed, false},
		{"namespace", `{apiVersion: v1, kind: Namespace, metadata: {name: a}, status: {phase: Active}}`,
			healthy, true},
		{"namespace new", `{apiVersion: v1, kind: Namespace, metadata: {name: a}}`, progress, true},
		{"definition installing",
			`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b, generation: 1},
			status: {conditions: [{type: NamesAccepted, status: "True"}, {type: Established, status: "False", reason: Installing}]}}`, progress, true},
		{"definition with taken names",
			`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b},
			status: {conditions: [{type: NamesAccepted, status: "False", reason: ListKindConflict, message: taken}]}}`, object.Failed, true},
		{"definition established",
			`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b},
			status: {conditions: [{type: Established, status: "True"}]}}`, healthy, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := live(t, c.body)
			if got := o.Health(); got.Status != c.status {
				t.Errorf("status %s (%s), want %s", got.Status, got.Message, c.status)
			}
			if got := o.Blocking(); got != c.blocking {
				t.Errorf("blocking %v, want %v", got, c.blocking)
			}
		})
	}
}

// The repairs of kstatus, each named after what goes wrong without it.
func TestHealthCustomResource(t *testing.T) {
	checkHealth(t, "{", []healthCase{
		{"empty status is not ready",
			`apiVersion: acme.dev/v1, kind: Database, metadata: {name: a, generation: 1}, spec: {size: 1}}`,
			object.Health{Status: object.Unknown, Message: "no controller has reported a status yet"}},
		{"status of nothing is not ready",
			`apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, generation: 1}, status: {}}`,
			object.Health{Status: object.Unknown, Message: "no controller has reported a status yet"}},
		{"ready", `apiVersion: acme.dev/v1, kind: Database, metadata: {name: a, generation: 1}, status: {conditions: [{type: Ready, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "Resource is Ready"}},
		{"ready for the generation before",
			`apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: a, generation: 2},
			status: {conditions: [{type: Ready, status: "True", observedGeneration: 1}]}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"not ready", `apiVersion: acme.dev/v1, kind: Database, metadata: {name: a}, status: {conditions: [{type: Ready, status: "False", message: creating disk}]}}`,
			object.Health{Status: progress, Message: "creating disk"}},
		{"stalled", `apiVersion: acme.dev/v1, kind: Database, metadata: {name: a}, status: {conditions: [{type: Stalled, status: "True", reason: NoDisk, message: none left}]}}`,
			object.Health{Status: object.Failed, Message: "NoDisk: none left"}},
		{"observedGeneration is a hash",
			`apiVersion: acme.dev/v1, kind: Database, metadata: {name: a, generation: 2},
			status: {observedGeneration: 7d4c8f, conditions: [{type: Ready, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "Resource is Ready"}},
		{"rollout, string generation is behind",
			`apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a, generation: 12},
			status: {observedGeneration: "11", phase: Healthy}}`,
			object.Health{Status: progress, Message: object.Unseen}},
		{"rollout healthy", `apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a, generation: 12},
			status: {observedGeneration: "12", phase: Healthy}}`, object.Health{Status: healthy, Message: "healthy"}},
		{"rollout degraded", `apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a, generation: 12},
			status: {observedGeneration: "12", phase: Degraded, message: ProgressDeadlineExceeded}}`,
			object.Health{Status: object.Failed, Message: "ProgressDeadlineExceeded"}},
		{"a float that is whole", `apiVersion: acme.dev/v1, kind: Database, metadata: {name: a, generation: 2},
			status: {observedGeneration: 2.0, conditions: [{type: Ready, status: "True"}]}}`,
			object.Health{Status: healthy, Message: "Resource is Ready"}},
	})
}

func TestBlockingListed(t *testing.T) {
	listed := live(
		t, `{apiVersion: acme.dev/v1, kind: Database, metadata: {name: a, annotations: {slipway.dev/wait: "true"}}}`)
	if !listed.Blocking() {
		t.Error("a listed custom resource does not block")
	}
	off := live(
		t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, annotations: {slipway.dev/wait: "false"}}}`)
	if off.Blocking() {
		t.Error("a Deployment that was taken off the list blocks")
	}
}

// Health never panics and never calls an odd status healthy.
func TestHealthOddStatus(t *testing.T) {
	odd := []string{`status: ok`, `status: []`, `status: {conditions: yes}`,
		`status: {conditions: [1, null, {type: 3}]}`,
		`status: {observedGeneration: {}}`, `status: {containerStatuses: [1, {name: 2, state: x}]}`,
		`status: {phase: 7}`}
	heads := []string{"apiVersion: apps/v1, kind: Deployment", "apiVersion: v1, kind: Pod",
		"apiVersion: batch/v1, kind: Job",
		"apiVersion: apps/v1, kind: DaemonSet", "apiVersion: apps/v1, kind: StatefulSet",
		"apiVersion: v1, kind: Namespace",
		"apiVersion: apps/v1, kind: ReplicaSet", "apiVersion: argoproj.io/v1alpha1, kind: Rollout"}
	for _, head := range heads {
		for _, status := range odd {
			o := live(t, "{"+head+", metadata: {name: a, generation: 3}, spec: {replicas: 1}, "+status+"}")
			if h := o.Health(); h.Status == object.Current {
				t.Errorf("%s with %s is healthy: %s", strings.Fields(head)[3], status, h.Message)
			}
		}
	}
	if h := (object.Object{}).Health(); h.Status == "" {
		t.Error("no status for an empty object")
	}
}
