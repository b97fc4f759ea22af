package check

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const monitorTarget = rule.ID("monitor-target")

// monitor is how a kind of custom resource says what Prometheus or VictoriaMetrics scrapes.
type monitor struct {
	endpoints string // the list below spec
	ofPods    bool   // it selects pods, not Services
}

var monitors = map[string]monitor{
	"monitoring.coreos.com/ServiceMonitor":           {"endpoints", false},
	"monitoring.coreos.com/PodMonitor":               {"podMetricsEndpoints", true},
	"operator.victoriametrics.com/VMServiceScrape":   {"endpoints", false},
	"operator.victoriametrics.com/VMPodScrape":       {"podMetricsEndpoints", true},
	"monitoring.googleapis.com/PodMonitoring":        {"endpoints", true},
	"azmonitoring.coreos.com/ServiceMonitor":         {"endpoints", false},
	"azmonitoring.coreos.com/PodMonitor":             {"podMetricsEndpoints", true},
	"monitoring.googleapis.com/ClusterPodMonitoring": {"endpoints", true},
}

// checkMonitor reports a monitor that selects nothing, and ports that nothing has.
func checkMonitor(e *environment, o object.Object, m monitor) []finding.Finding {
	namespaces := monitoredNamespaces(e, o)
	isIn := func(o object.Object) bool {
		return slices.ContainsFunc(namespaces, func(n string) bool { return sameNamespace(n, e.namespaceOf(o)) })
	}
	selector := selectorOf(o.At("spec", "selector"))
	services, pods := scraped(e, selector, m.ofPods, isIn)
	what := "Service"
	if m.ofPods {
		what = "workload"
	}
	if len(services)+len(pods) == 0 {
		if selector.Empty() {
			return nil
		}
		isComplete := slices.ContainsFunc(namespaces, e.completeIn)
		f := monitorTarget.New(o, "spec.selector", "selector %s matches no %s: nothing is scraped%s",
			selector, what, unscraped(e, o, m, isIn))
		if !isComplete {
			return nil // what it monitors may well be somebody else's
		}
		return []finding.Finding{f}
	}
	var all []finding.Finding
	for i, endpoint := range object.Mappings(o.At("spec", m.endpoints)) {
		field := fmt.Sprintf("spec.%s[%d]", m.endpoints, i)
		all = append(all, checkEndpoint(o, field, endpoint, services, pods)...)
	}
	return all
}

// monitoredNamespaces are those that a monitor looks at; an empty one stands for all.
func monitoredNamespaces(e *environment, o object.Object) []string {
	chosen := object.Mapping(o.At("spec", "namespaceSelector"))
	if chosen["any"] == true || strings.HasPrefix(o.Ref().Kind, "Cluster") {
		return []string{""}
	}
	names, _ := chosen["matchNames"].([]any)
	var all []string
	for _, n := range names {
		all = append(all, text(n))
	}
	if len(all) == 0 {
		return []string{e.namespaceOf(o)}
	}
	return all
}

// scraped are the Services that a selector takes, and the workloads behind them; or the workloads alone.
func scraped(e *environment, selector labels.Selector, ofPods bool, isIn func(object.Object) bool) (
	services []object.Object, pods []workload) {
	if ofPods {
		for _, w := range e.workloads {
			if isIn(w.Object) && takes(selector, w) {
				pods = append(pods, w)
			}
		}
		return nil, pods
	}
	for _, o := range e.objects {
		labels := labelSet(object.Mapping(o.At("metadata", "labels")))
		if r := o.Ref(); r.Group == "" && r.Kind == "Service" && isIn(o) && selector.Matches(labels) {
			services = append(services, o)
			pods = append(pods, e.selected(e.namespaceOf(o), serviceSelectorOf(o))...)
		}
	}
	return services, pods
}

// unscraped names the monitor's namesake, with its labels.
func unscraped(e *environment, o object.Object, m monitor, isIn func(object.Object) bool) string {
	if m.ofPods {
		return nearMiss(e, o, labelSet(object.Mapping(o.At("spec", "selector", "matchLabels"))))
	}
	for _, s := range e.objects {
		if r := s.Ref(); r.Group == "" && r.Kind == "Service" && r.Name == o.Ref().Name && isIn(s) {
			return fmt.Sprintf(" (Service %s has %s)", r.Name, labelSet(object.Mapping(s.At("metadata", "labels"))))
		}
	}
	return ""
}

func checkEndpoint(o object.Object, field string, endpoint map[string]any,
	services []object.Object, pods []workload) []finding.Finding {
	declared := declaredPorts(pods)
	if port := endpoint["port"]; port != nil && len(services) > 0 {
		have := portsOf(services)
		if slices.ContainsFunc(have, func(p declaredPort) bool { return p.name == port }) {
			return nil
		}
		who := "the " + fmt.Sprint(len(services)) + " Services have"
		if len(services) == 1 {
			who = "Service " + services[0].Ref().Name + " has"
		}
		return []finding.Finding{monitorTarget.New(o, field+".port",
			"no selected Service has a port named %v: nothing is scraped (%s %s)", port, who, listed(have))}
	}
	for _, key := range []string{"port", "targetPort", "portNumber"} {
		wanted := endpoint[key]
		_, isName := wanted.(string)
		isInjected := slices.ContainsFunc(pods, func(w workload) bool { return w.injected })
		has := func(p declaredPort) bool { return p.is(wanted) }
		if wanted == nil || len(pods) == 0 || isInjected || !isName && !declared.complete ||
			slices.ContainsFunc(declared.all, has) {
			continue
		}
		return []finding.Finding{monitorTarget.New(o, field+"."+key,
			"no container has port %v: nothing is scraped (%s %s has %s)", wanted, pods[0].Ref().Kind,
			pods[0].Ref().Name, listedOrNone(declared.all))}
	}
	return nil
}

func portsOf(services []object.Object) []declaredPort {
	var all []declaredPort
	for _, s := range services {
		for _, p := range object.Mappings(s.At("spec", "ports")) {
			all = append(all, declaredPort{p["name"], p["port"]})
		}
	}
	return all
}

func listed(ports []declaredPort) string {
	var names []string
	for _, p := range ports {
		names = append(names, p.String())
	}
	return strings.Join(slices.Compact(names), ", ")
}
