package check

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

var production = []project.Class{project.Production}

var (
	replicasOne = finding.Rule{ID: "replicas-one", Group: "must exist", Classes: production,
		Severity: finding.Warning,
		Title:    "A service in production runs one pod",
		Why:      "When the only pod's node is drained or fails, requests are refused until another has started.",
		Fix: "Two or more, or an autoscaler that never goes below two:\n\n```yaml\nspec:\n  replicas: " +
			"2\n```\n\nWhat may only run once says so by `strategy: {type: Recreate}` and its claim."}
	budgetMissing = finding.Rule{ID: "budget-missing", Group: "must exist", Classes: production,
		Severity: finding.Warning,
		Title:    "Nothing keeps a drain from stopping all pods of a service",
		Why: "Nodes are drained when a cluster is upgraded or shrinks. Without a PodDisruptionBudget all " +
			"pods of a service may be evicted in the same minute.",
		Fix: "```yaml\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: myapp\nspec:\n  " +
			"maxUnavailable: 1\n  selector:\n    matchLabels:\n      app: myapp\n```"}
	budgetBlocks = finding.Rule{ID: "budget-blocks", Group: "must exist",
		Classes: []project.Class{project.Staging, project.Production}, Severity: finding.Error,
		Title: "A PodDisruptionBudget allows no eviction",
		Why: "A budget that allows nothing keeps every node with such a pod from being drained: cluster " +
			"upgrades hang, or end it by force.",
		Fix: "Write `maxUnavailable: 1` in place of minAvailable, and run two pods or more. One budget for a " +
			"pod: with two of them each eviction is an error."}
	spreadMissing = finding.Rule{ID: "spread-missing", Group: "must exist", Classes: production,
		Severity: finding.Warning,
		Title:    "All pods of a workload may run on one node",
		Why: "Several pods help little where they share a node: they fail together. The scheduler spreads " +
			"them only loosely unless it is asked.",
		Fix: "```yaml\ntopologySpreadConstraints:\n  - topologyKey: kubernetes.io/hostname\n    maxSkew: 1\n    " +
			"whenUnsatisfiable: ScheduleAnyway\n    labelSelector:\n      matchLabels:\n        app: myapp\n```"}
	policyMissing = finding.Rule{ID: "policy-missing", Group: "must exist", Classes: production,
		Severity: finding.Warning,
		Title:    "No NetworkPolicy covers the pods",
		Why: "A pod that no NetworkPolicy selects may be reached by every pod of the cluster, and may reach " +
			"everything.",
		Fix: "Say who may come in:\n\n```yaml\napiVersion: networking.k8s.io/v1\nkind: " +
			"NetworkPolicy\nmetadata:\n  name: myapp\nspec:\n  podSelector:\n    matchLabels:\n      app: myapp\n  " +
			"policyTypes: [Ingress]\n  ingress:\n    - from:\n        - namespaceSelector:\n            " +
			"matchLabels:\n              kubernetes.io/metadata.name: ingress-nginx\n```"}
	shutdownGrace = finding.Rule{ID: "shutdown-grace", Group: "must exist", Classes: production,
		Severity: finding.Warning,
		Title:    "Pods are killed before they can finish",
		Why: "A pod that is stopped has terminationGracePeriodSeconds, the preStop hook included, until it " +
			"is killed. Where the hook takes all of it, or there is none, requests are cut off at each deploy.",
		Fix: "Let `terminationGracePeriodSeconds` be longer than the hook and the longest request together."}
)

// mustExist are the rules on what production has and a laptop needs not.
var mustExist = group{
	rules: []finding.Rule{replicasOne, budgetMissing, budgetBlocks, spreadMissing, policyMissing, shutdownGrace},
	each: func(r *run, env environment) {
		s := take(r, env)
		for _, w := range s.pods {
			if ref := w.Ref(); ref.Group == "apps" && ref.Kind != "ReplicaSet" {
				s.stands(w)
				s.ends(w)
			}
		}
		s.policies()
		for _, o := range s.objects {
			if r := o.Ref(); r.Kind == "PodDisruptionBudget" {
				s.blocks(o)
			}
		}
	},
}

// scale is how many pods a workload runs.
type scale struct {
	least, most int
	by          *object.Object // its autoscaler
}

func (s *stock) scale(w workload) scale {
	if o, ok := s.scaler(w.Object); ok {
		least, most := "minReplicas", "maxReplicas"
		if o.Ref().Group == "keda.sh" {
			least, most = "minReplicaCount", "maxReplicaCount"
		}
		c := scale{least: 1, by: &o}
		if n, ok := number(o.At("spec", least)); ok {
			c.least = n
		} else if o.Ref().Group == "keda.sh" {
			c.least = 0
		}
		if c.most, ok = number(o.At("spec", most)); !ok {
			c.most = max(c.least, 100)
		}
		return c
	}
	n, ok := number(w.At("spec", "replicas"))
	if !ok {
		n = 1
	}
	return scale{least: n, most: n}
}

// scaler is what scales a workload.
func (s *stock) scaler(o object.Object) (object.Object, bool) {
	ref := o.Ref()
	for _, h := range s.objects {
		if k := h.Ref(); k.Kind == "HorizontalPodAutoscaler" || k.Kind == "ScaledObject" && k.Group == "keda.sh" {
			if group, kind, name := scaled(h); group == ref.Group && kind == ref.Kind && name == ref.Name &&
				s.together(s.namespace(h), s.namespace(o)) {
				return h, true
			}
		}
	}
	return object.Object{}, false
}

// covering are the objects of a kind whose selector takes a workload's pods.
func (s *stock) covering(w workload, group, kind string,
	selector func(object.Object) labels.Selector) []object.Object {
	var found []object.Object
	for _, o := range s.all(group, kind, s.namespace(w.Object)) {
		if selector(o).Matches(words(w.labels)) {
			found = append(found, o)
		}
	}
	return found
}

func ofService(o object.Object) labels.Selector {
	if m := object.Mapping(o.At("spec", "selector")); len(m) > 0 {
		return words(m).AsSelector()
	}
	return labels.Nothing()
}

func ofBudget(o object.Object) labels.Selector { return selectorOf(o.At("spec", "selector")) }

// stands looks at whether a workload outlives the loss of a node.
func (s *stock) stands(w workload) {
	kind, n := w.Ref().Kind, s.scale(w)
	if kind == "DaemonSet" || n.most == 0 {
		return
	}
	reached := len(s.covering(w, "", "Service", ofService)) > 0
	if kind == "Deployment" && reached && n.least < 2 && !single(w) {
		switch {
		case n.by != nil && n.least == 1:
			s.tell(replicasOne, false, *n.by, "spec.minReplicas", "minReplicas: 2", "it lets %s %s go down to one pod",
				kind, w.Ref().Name)
		case n.by == nil:
			s.tell(replicasOne, false, w.Object, "spec.replicas", "replicas: 2",
				"requests reach it through a Service, and it runs one pod")
		}
	}
	if n.least < 2 {
		return
	}
	if reached && len(s.covering(w, "policy", "PodDisruptionBudget", ofBudget)) == 0 {
		s.tell(budgetMissing, false, w.Object, "", "", "no PodDisruptionBudget covers its %d pods", n.least)
	}
	s.spread(w, n)
}

// single is what is meant to run once: two pods cannot share its volume.
func single(w workload) bool {
	for _, v := range object.Mappings(w.spec["volumes"]) {
		if v["persistentVolumeClaim"] != nil {
			return text(w.At("spec", "strategy", "type")) == "Recreate"
		}
	}
	return false
}

func (s *stock) spread(w workload, n scale) {
	constraints := object.Mappings(w.spec["topologySpreadConstraints"])
	for i, c := range constraints {
		if selector := selectorOf(c["labelSelector"]); !selector.Matches(words(w.labels)) {
			s.tell(spreadMissing, false, w.Object, fmt.Sprintf("%s.topologySpreadConstraints[%d]", w.path, i), "",
				"its labelSelector does not take the pods themselves: nothing is spread")
		}
	}
	affinity := object.Mapping(object.Mapping(w.spec["affinity"])["podAntiAffinity"])
	if len(constraints) == 0 && len(affinity) == 0 {
		s.tell(spreadMissing, false, w.Object, w.path, "", "its %d pods may all run on one node", n.least)
	}
}

// ends looks at how a pod stops.
func (s *stock) ends(w workload) {
	grace, said := number(w.spec["terminationGracePeriodSeconds"])
	if !said {
		grace = 30
	}
	if grace == 0 {
		s.tell(shutdownGrace, false, w.Object, w.path+".terminationGracePeriodSeconds", "",
			"its pods are killed at once: no request is finished")
		return
	}
	for _, c := range w.containers() {
		hook := object.Mapping(object.Mapping(c.body["lifecycle"])["preStop"])
		if n := sleeps(hook); n >= grace {
			s.tell(shutdownGrace, false, w.Object, c.path+".lifecycle.preStop", "",
				"its preStop hook sleeps for %d s, and the pod is killed after %d s", n, grace)
		}
	}
}

// sleeps is how long a hook does nothing but sleep.
func sleeps(hook map[string]any) int {
	if n, ok := number(object.Mapping(hook["sleep"])["seconds"]); ok {
		return n
	}
	var words []string
	list, _ := object.Mapping(hook["exec"])["command"].([]any)
	for _, w := range list {
		words = append(words, strings.Fields(fmt.Sprint(w))...)
	}
	for len(words) > 2 && (strings.HasSuffix(words[0], "sh") || words[0] == "-c") {
		words = words[1:]
	}
	if len(words) == 2 && strings.HasSuffix(words[0], "sleep") {
		n, _ := strconv.Atoi(strings.TrimSuffix(words[1], "s"))
		return n
	}
	return 0
}

// policies says it once where no workload has one: it is one thing to do.
func (s *stock) policies() {
	var bare []workload
	some := false
	for _, o := range s.objects {
		r := o.Ref()
		if strings.HasSuffix(r.Kind, "NetworkPolicy") && r.Group != "networking.k8s.io" ||
			r.Kind == "CiliumClusterwideNetworkPolicy" {
			return // in a language that is not read here
		}
		some = some || r.Kind == "NetworkPolicy"
	}
	for _, w := range s.pods {
		switch w.Ref().Kind {
		case "Deployment", "StatefulSet", "DaemonSet":
			policy := func(o object.Object) labels.Selector { return selectorOf(o.At("spec", "podSelector")) }
			if w.spec["hostNetwork"] != true && len(s.covering(w, "networking.k8s.io", "NetworkPolicy", policy)) == 0 {
				bare = append(bare, w)
			}
		}
	}
	if !some && len(bare) > 1 {
		s.tell(policyMissing, false, bare[0].Object, "", "",
			"no NetworkPolicy covers its pods, nor those of %d other workloads", len(bare)-1)
		return
	}
	for _, w := range bare {
		s.tell(policyMissing, false, w.Object, "", "", "no NetworkPolicy covers its pods")
	}
}

// blocks looks at whether a budget ever lets a pod go. Where an autoscaler decides how many there are
// it is sure only if not even the most are enough.
func (s *stock) blocks(o object.Object) {
	least, most := 0, 0
	covered := s.selected(s.namespace(o), ofBudget(o))
	for _, w := range covered {
		if k := w.Ref().Kind; k != "Deployment" && k != "StatefulSet" {
			return
		}
		n := s.scale(w)
		least, most = least+n.least, most+n.most
		if others := s.covering(w, "policy", "PodDisruptionBudget", ofBudget); len(others) > 1 &&
			others[0].Ref() != o.Ref() {
			s.tell(budgetBlocks, true, o, "spec.selector", "",
				"%s %s is covered by PodDisruptionBudget %s as well: each eviction is an error", w.Ref().Kind,
				w.Ref().Name, others[0].Ref().Name)
			return
		}
	}
	if most == 0 {
		return
	}
	if v := o.At("spec", "maxUnavailable"); v != nil {
		if n, ok := share(v, most); ok && n == 0 {
			s.tell(budgetBlocks, true, o, "spec.maxUnavailable", "maxUnavailable: 1",
				"it allows no pod to be evicted: nodes cannot be drained")
		}
		return
	}
	v := o.At("spec", "minAvailable")
	low, ok := share(v, least)
	high, _ := share(v, most)
	if ok && least > 0 && low >= least {
		s.tell(budgetBlocks, high >= most, o, "spec.minAvailable", "maxUnavailable: 1",
			"%v of %d must stay: no pod may be evicted, and nodes cannot be drained", v, least)
	}
}

// share is a number, or a percentage rounded up as the disruption controller does.
func share(v any, of int) (int, bool) {
	if n, ok := number(v); ok {
		return n, true
	}
	percent, found := strings.CutSuffix(text(v), "%")
	n, err := strconv.Atoi(percent)
	return int(math.Ceil(float64(n) * float64(of) / 100)), found && err == nil
}
