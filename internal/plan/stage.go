package plan

import "slipway/internal/object"

// The stages, in the order of applying. Services come with the workloads, before them; objects that act on
// running pods (autoscalers, budgets, ingresses) or on other objects (webhooks, custom resources) come last.
const (
	Definitions = iota // CustomResourceDefinition
	Namespaces
	Identities    // ServiceAccounts, roles and their bindings
	Configuration // what pods need before they start
	Workloads
	Rest
)

var stages = map[string]int{
	"CustomResourceDefinition": Definitions,
	"Namespace":                Namespaces,

	"ServiceAccount": Identities, "ClusterRole": Identities, "ClusterRoleBinding": Identities,
	"Role": Identities, "RoleBinding": Identities,

	"PriorityClass": Configuration, "RuntimeClass": Configuration, "NetworkPolicy": Configuration,
	"ResourceQuota": Configuration, "LimitRange": Configuration, "Secret": Configuration,
	"ConfigMap": Configuration, "StorageClass": Configuration, "PersistentVolume": Configuration,
	"PersistentVolumeClaim": Configuration,

	"Service": Workloads, "DaemonSet": Workloads, "Pod": Workloads, "ReplicationController": Workloads,
	"ReplicaSet": Workloads, "Deployment": Workloads, "StatefulSet": Workloads, "Job": Workloads,
	"CronJob": Workloads,
}

// builtin are the API groups of the kinds in these tables: a "Service" of Knative is another kind.
var builtin = map[string]bool{
	"": true, "apps": true, "batch": true, "apiextensions.k8s.io": true, "rbac.authorization.k8s.io": true,
	"networking.k8s.io": true, "node.k8s.io": true, "scheduling.k8s.io": true, "storage.k8s.io": true,
	"policy": true, "autoscaling": true, "apiregistration.k8s.io": true, "admissionregistration.k8s.io": true,
}

func stageOf(r object.Ref) int {
	if s, ok := stages[r.Kind]; ok && builtin[r.Group] {
		return s
	}
	return Rest
}

// deletion returns the stage that deletes objects of a stage: after everything else, in reverse.
func deletion(stage int) int { return Rest + 1 + (Rest - stage) }

// kinds is Helm's installation order, which charts depend on.
var kinds = []string{
	"PriorityClass", "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodDisruptionBudget",
	"ServiceAccount", "Secret", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
	"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service",
	"DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler",
	"StatefulSet", "Job", "CronJob", "IngressClass", "Ingress", "APIService",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}

var ranks = func() map[string]int {
	m := make(map[string]int, len(kinds))
	for i, k := range kinds {
		m[k] = i
	}
	return m
}()

// rankOf orders kinds within a stage. Unknown kinds come with Ingress, before the webhooks that could refuse
// them.
func rankOf(ref object.Ref) int {
	if r, ok := ranks[ref.Kind]; ok && builtin[ref.Group] {
		return r
	}
	return ranks["Ingress"]
}
