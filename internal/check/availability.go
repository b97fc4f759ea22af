package check

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const (
	replicasOne   = rule.ID("replicas-one")
	budgetMissing = rule.ID("budget-missing")
	budgetBlocks  = rule.ID("budget-blocks")
	spreadMissing = rule.ID("spread-missing")
	policyMissing = rule.ID("policy-missing")
	shutdownGrace = rule.ID("shutdown-grace")
	preStopSleep  = rule.ID("prestop-missing")
)

// availability checks what keeps a service up while nodes, pods and versions change.
func availability(_ *subject, e *environment) found {
	var all []finding.Finding
	for _, w := range e.workloads {
		if ref := w.Ref(); ref.Group == "apps" && ref.Kind != "ReplicaSet" {
			all = append(all, checkRedundancy(e, w)...)
			all = append(all, checkShutdown(w)...)
			all = append(all, checkPreStop(e, w)...)
		}
	}
	all = append(all, checkNetworkPolicies(e)...)
	for _, o := range e.objects {
		if o.Ref().Kind == "PodDisruptionBudget" {
			all = append(all, checkBudget(e, o)...)
		}
	}
	return found{findings: all}
}

// scale is how many pods a workload runs.
type scale struct {
	least, most int
	by          *object.Object // its autoscaler
}

func scaleOf(e *environment, w workload) scale {
	scaler, ok := scalerOf(e, w.Object)
	if !ok {
		n, ok := number(w.At("spec", "replicas"))
		if !ok {
			n = 1
		}
		return scale{least: n, most: n}
	}
	least, most, otherwise := "minReplicas", "maxReplicas", 1
	if scaler.Ref().Group == "keda.sh" {
		least, most, otherwise = "minReplicaCount", "maxReplicaCount", 0
	}
	s := scale{least: otherwise, by: &scaler}
	if n, ok := number(scaler.At("spec", least)); ok {
		s.least = n
	}
	if s.most, ok = number(scaler.At("spec", most)); !ok {
		s.most = max(s.least, 100)
	}
	return s
}

// scalerOf returns the autoscaler of a workload.
func scalerOf(e *environment, o object.Object) (object.Object, bool) {
	ref := o.Ref()
	for _, h := range e.scalers {
		group, kind, name := scaled(h)
		if group == ref.Group && kind == ref.Kind && name == ref.Name &&
			sameNamespace(e.namespaceOf(h), e.namespaceOf(o)) {
			return h, true
		}
	}
	return object.Object{}, false
}

func serviceSelectorOf(o object.Object) labels.Selector {
	if m := object.Mapping(o.At("spec", "selector")); len(m) > 0 {
		return labelSet(m).AsSelector()
	}
	return labels.Nothing()
}

func budgetSelectorOf(o object.Object) labels.Selector { return selectorOf(o.At("spec", "selector")) }

func policySelectorOf(o object.Object) labels.Selector {
	return selectorOf(o.At("spec", "podSelector"))
}

// checkRedundancy reports what does not survive the loss of a node.
func checkRedundancy(e *environment, w workload) []finding.Finding {
	kind, n := w.Ref().Kind, scaleOf(e, w)
	if kind == "DaemonSet" || n.most == 0 {
		return nil
	}
	reached := len(e.covering(w, "", "Service")) > 0
	var all []finding.Finding
	if kind == "Deployment" && n.least < 2 && !isSingleton(e, w) && servesRequests(e, w) {
		switch {
		case n.by != nil && n.least == 1:
			f := replicasOne.New(*n.by, "spec.minReplicas",
				"minReplicas lets %s %s go down to one pod: requests fail while that pod moves to another node",
				kind, w.Ref().Name)
			f.Fix = "Set `minReplicas: 2`."
			all = append(all, f)
		case n.by == nil:
			f := replicasOne.New(w.Object, "spec.replicas",
				"one pod serves a Service: requests fail while that pod moves to another node")
			f.Fix = "Set `replicas: 2`."
			all = append(all, f)
		}
	}
	if n.least < 2 {
		return all
	}
	if reached && len(e.covering(w, "policy", "PodDisruptionBudget")) == 0 {
		all = append(all, budgetMissing.New(w.Object, "",
			"no PodDisruptionBudget covers the %d pods: draining nodes may evict all of them at once", n.least))
	}
	return append(all, checkSpread(w, n)...)
}

func checkSpread(w workload, n scale) []finding.Finding {
	var all []finding.Finding
	constraints := object.Mappings(w.spec["topologySpreadConstraints"])
	for i, c := range constraints {
		if selector := selectorOf(c["labelSelector"]); !takes(selector, w) {
			field := fmt.Sprintf("%s.topologySpreadConstraints[%d]", w.path, i)
			all = append(all, spreadMissing.New(w.Object, field,
				"labelSelector does not match the pod template's labels: the constraint spreads no pod"))
		}
	}
	affinity := object.Mapping(object.Mapping(w.spec["affinity"])["podAntiAffinity"])
	if len(constraints) == 0 && len(affinity) == 0 {
		all = append(all, spreadMissing.New(w.Object, w.path,
			"nothing spreads the %d pods over nodes: one node's failure may stop all of them", n.least))
	}
	return all
}

func checkShutdown(w workload) []finding.Finding {
	grace, set := number(w.spec["terminationGracePeriodSeconds"])
	if !set {
		grace = 30
	}
	if grace == 0 {
		return []finding.Finding{shutdownGrace.New(w.Object, w.path+".terminationGracePeriodSeconds",
			"terminationGracePeriodSeconds is 0: the kubelet kills the pods at once, and their requests fail")}
	}
	var all []finding.Finding
	for _, c := range w.containers() {
		hook := object.Mapping(object.Mapping(c.body["lifecycle"])["preStop"])
		if n := sleepOf(hook); n >= grace {
			all = append(all, shutdownGrace.New(w.Object, c.path+".lifecycle.preStop",
				"the preStop hook sleeps for %d s and the grace period is %d s: the kubelet kills the pod "+
					"before its requests end",
				n, grace))
		}
	}
	return all
}

// checkPreStop asks for a pause before a pod stops: for some time after its end began, its Service still
// sends requests to it.
func checkPreStop(e *environment, w workload) []finding.Finding {
	containers := w.containers()
	recreated := w.At("spec", "strategy", "type") == "Recreate"
	if recreated || len(containers) == 0 || !servesRequests(e, w) || isSingleton(e, w) {
		return nil
	}
	for _, c := range containers {
		if object.Mapping(c.body["lifecycle"])["preStop"] != nil {
			return nil
		}
	}
	return []finding.Finding{preStopSleep.New(w.Object, containers[0].path+".lifecycle",
		"no container has a preStop hook: requests that the Service still sends to a stopping pod fail")}
}

// sleepOf is how long a hook sleeps, in seconds; 0 where it does anything else.
func sleepOf(hook map[string]any) int {
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

// checkNetworkPolicies reports once that no workload has a policy: one change adds it for all.
func checkNetworkPolicies(e *environment) []finding.Finding {
	some := false
	for _, o := range e.objects {
		r := o.Ref()
		isForeign := strings.HasSuffix(r.Kind, "NetworkPolicy") && r.Group != "networking.k8s.io"
		if isForeign || r.Kind == "CiliumClusterwideNetworkPolicy" {
			return nil // policies of another API may cover the pods
		}
		some = some || r.Kind == "NetworkPolicy"
	}
	var bare []workload
	for _, w := range e.workloads {
		switch w.Ref().Kind {
		case "Deployment", "StatefulSet", "DaemonSet":
			policies := e.covering(w, "networking.k8s.io", "NetworkPolicy")
			if w.spec["hostNetwork"] != true && len(policies) == 0 {
				bare = append(bare, w)
			}
		}
	}
	if !some && len(bare) > 1 {
		return []finding.Finding{policyMissing.New(bare[0].Object, "",
			"no NetworkPolicy covers the pods, nor those of %d other workloads: every pod in the cluster can "+
				"connect to them",
			len(bare)-1)}
	}
	var all []finding.Finding
	for _, w := range bare {
		all = append(all, policyMissing.New(w.Object, "",
			"no NetworkPolicy covers the pods: every pod in the cluster can connect to them"))
	}
	return all
}

// checkBudget reports a budget that never lets a pod go. Where an autoscaler decides how many there are, it
// is certain only if even the most are not enough.
func checkBudget(e *environment, o object.Object) []finding.Finding {
	least, most := 0, 0
	for _, w := range e.selected(e.namespaceOf(o), budgetSelectorOf(o)) {
		if k := w.Ref().Kind; k != "Deployment" && k != "StatefulSet" {
			return nil
		}
		n := scaleOf(e, w)
		least, most = least+n.least, most+n.most
		others := e.covering(w, "policy", "PodDisruptionBudget")
		if len(others) > 1 && others[0].Ref() != o.Ref() {
			return []finding.Finding{budgetBlocks.New(o, "spec.selector",
				"PodDisruptionBudget %s covers %s %s too: the API server refuses to evict a pod with two budgets",
				others[0].Ref().Name, w.Ref().Kind, w.Ref().Name)}
		}
	}
	if most == 0 {
		return nil
	}
	if v := o.At("spec", "maxUnavailable"); v != nil {
		if n, ok := share(v, most); !ok || n != 0 {
			return nil
		}
		f := budgetBlocks.New(o, "spec.maxUnavailable",
			"maxUnavailable is 0: no pod can be evicted, so nodes cannot be drained")
		f.Fix = "Set `maxUnavailable: 1`."
		return []finding.Finding{f}
	}
	v := o.At("spec", "minAvailable")
	low, ok := share(v, least)
	high, _ := share(v, most)
	if !ok || least == 0 || low < least {
		return nil
	}
	f := budgetBlocks.New(o, "spec.minAvailable",
		"minAvailable is %v of %d pods: no pod can be evicted, so nodes cannot be drained", v, least)
	f.Fix = "Replace it with `maxUnavailable: 1`."
	return []finding.Finding{f.WarnUnless(high >= most)}
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
