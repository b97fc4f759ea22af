package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	serviceSelector  = rule.ID("service-selector")
	servicePort      = rule.ID("service-port")
	budgetSelector   = rule.ID("budget-selector")
	roleBinding      = rule.ID("role-binding")
	foreignNamespace = rule.ID("foreign-namespace")
)

// references checks what names what.
func references(s *subject, e *environment) found {
	var all []finding.Finding
	var unchecked []finding.Unchecked
	seen := once{}
	read, _ := s.pipelines()
	for _, c := range read.Creates() {
		e.made = append(e.made, made{kind: c.Kind, name: c.Name, place: c.Place.String()})
	}
	for _, o := range e.objects {
		all = append(all, checkReferences(e, o)...)
		all = append(all, checkNamespace(e, o, seen)...)
	}
	for _, w := range e.workloads {
		all = append(all, checkNeeds(e, w, seen)...)
		unchecked = append(unchecked, uncertainNeeds(e, w, seen)...)
	}
	return found{findings: all, unchecked: unchecked}
}

func checkReferences(e *environment, o object.Object) []finding.Finding {
	ref := o.Ref()
	switch ref.Group + "/" + ref.Kind {
	case "/Service":
		return checkService(e, o)
	case "networking.k8s.io/Ingress":
		return append(checkIngress(e, o), checkCertificates(e, o)...)
	case "gateway.networking.k8s.io/HTTPRoute", "gateway.networking.k8s.io/GRPCRoute",
		"gateway.networking.k8s.io/TCPRoute", "gateway.networking.k8s.io/TLSRoute",
		"gateway.networking.k8s.io/UDPRoute":
		return checkRoute(e, o)
	case istio + "/VirtualService":
		return checkVirtual(e, o)
	case istio + "/DestinationRule":
		return checkDestinationRule(e, o)
	case "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject":
		return checkScaleTarget(e, o)
	case "autoscaling.k8s.io/VerticalPodAutoscaler":
		return checkVertical(e, o)
	case "networking.k8s.io/NetworkPolicy":
		return checkPolicy(e, o)
	case "traefik.io/IngressRoute", "traefik.containo.us/IngressRoute":
		return checkIngressRoute(e, o)
	case "policy/PodDisruptionBudget":
		return checkBudgetSelector(e, o)
	case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
		return checkBinding(e, o)
	}
	if m, ok := monitors[ref.Group+"/"+ref.Kind]; ok {
		return checkMonitor(e, o, m)
	}
	return nil
}

func checkBudgetSelector(e *environment, o object.Object) []finding.Finding {
	selector := selectorOf(o.At("spec", "selector"))
	if selector.Empty() || len(e.selected(e.namespaceOf(o), selector)) > 0 {
		return nil
	}
	near := nearMiss(e, o, labelSet(object.Mapping(o.At("spec", "selector", "matchLabels"))))
	f := budgetSelector.New(o, "spec.selector",
		"selector %s matches no workload: a drain may evict all pods at once%s", selector, near)
	return []finding.Finding{f.WarnUnless(e.completeIn(e.namespaceOf(o)))}
}

func checkService(e *environment, o object.Object) []finding.Finding {
	selector := labelSet(object.Mapping(o.At("spec", "selector")))
	if len(selector) == 0 || o.At("spec", "type") == "ExternalName" {
		return nil
	}
	pods := e.selected(e.namespaceOf(o), selector.AsSelector())
	if len(pods) == 0 {
		f := serviceSelector.New(o, "spec.selector",
			"selector %s matches no workload: the Service has no endpoints%s",
			selector, nearMiss(e, o, selector))
		if namespace := e.namespaceOf(o); !e.runsIn(namespace) {
			f.Fix = "Accept it with an exception if something else deploys these pods in " + namespace +
				"; else correct the selector or the namespace."
		}
		return []finding.Finding{f.WarnUnless(e.completeIn(e.namespaceOf(o)))}
	}
	var all []finding.Finding
	for i, p := range object.Mappings(o.At("spec", "ports")) {
		all = append(all, checkServicePort(o, fmt.Sprintf("spec.ports[%d]", i), p, pods)...)
	}
	return all
}

// nearMiss names a workload that has some of the labels with other values, preferably the object's namesake.
func nearMiss(e *environment, o object.Object, want labels.Set) string {
	isNamesake := func(w workload) bool { return w.Ref().Name == o.Ref().Name }
	pods := slices.DeleteFunc(slices.Clone(e.workloads), func(w workload) bool { return !isNamesake(w) })
	for _, w := range append(pods, e.workloads...) {
		for _, k := range slices.Sorted(maps.Keys(want)) {
			have, ok := w.labels[k]
			if ok && have != want[k] && sameNamespace(e.namespaceOf(w.Object), e.namespaceOf(o)) {
				return fmt.Sprintf(" (%s %s has %s=%v)", w.Ref().Kind, w.Ref().Name, k, have)
			}
		}
	}
	return ""
}

func checkServicePort(o object.Object, field string, port map[string]any, pods []workload) []finding.Finding {
	wanted, set := port["targetPort"]
	if set {
		field += ".targetPort"
	} else {
		wanted = port["port"]
	}
	ports := declaredPorts(pods)
	if slices.ContainsFunc(ports.all, func(p declaredPort) bool { return p.is(wanted) }) {
		return nil
	}
	has := "declares no ports"
	if len(ports.all) > 0 {
		var names []string
		for _, p := range ports.all {
			names = append(names, p.String())
		}
		has = "has " + strings.Join(slices.Compact(names), ", ")
	}
	who := pods[0].Ref()
	if name, ok := wanted.(string); ok {
		injected := slices.ContainsFunc(pods, func(w workload) bool { return w.injected })
		f := servicePort.New(o, field, "no container has port %q: the Service has no endpoints for it (%s %s %s)",
			name, who.Kind, who.Name, has)
		return []finding.Finding{f.WarnUnless(!injected)}
	}
	if ports.complete && o.At("spec", "clusterIP") != "None" {
		f := servicePort.New(o, field, "no container declares port %v: connections may be refused (%s %s %s)",
			wanted, who.Kind, who.Name, has)
		f.Severity = finding.Warning
		return []finding.Finding{f}
	}
	return nil
}

// declaredPort is one entry of a container's ports.
type declaredPort struct{ name, number any }

func (p declaredPort) is(wanted any) bool {
	n, ok := number(p.number)
	return wanted == p.name || ok && any(int64(n)) == wanted
}

func (p declaredPort) String() string {
	return strings.TrimPrefix(fmt.Sprintf("%s %v", text(p.name), p.number), " ")
}

// portList is what workloads declare; complete where each of them declares some.
type portList struct {
	all      []declaredPort
	complete bool
}

func declaredPorts(pods []workload) portList {
	list := portList{complete: true}
	for _, w := range pods {
		before := len(list.all)
		for _, c := range w.containers() {
			if !c.stays {
				continue
			}
			for _, p := range object.Mappings(c.body["ports"]) {
				list.all = append(list.all, declaredPort{p["name"], p["containerPort"]})
			}
		}
		list.complete = list.complete && len(list.all) > before
	}
	return list
}

func checkBinding(e *environment, o object.Object) []finding.Finding {
	var all []finding.Finding
	for i, subject := range object.Mappings(o.At("subjects")) {
		name, namespace := text(subject["name"]), text(subject["namespace"])
		if subject["kind"] != "ServiceAccount" || name == "default" {
			continue
		}
		field := fmt.Sprintf("subjects[%d]", i)
		if namespace == "" {
			namespace = e.namespaceOf(o)
		}
		if e.has("", "ServiceAccount", namespace, name) {
			continue
		}
		if owner := e.owner(namespace); owner != "" {
			all = append(all, roleBinding.New(o, field+".namespace",
				"ServiceAccount %s is in namespace %s of environment %s: its pods get this role, not those of %s",
				name, namespace, owner, e.Name))
		} else if sameNamespace(namespace, e.namespaceOf(o)) {
			all = append(all, roleBinding.New(o, field+".name",
				"ServiceAccount %s does not exist: nothing gets the role", name))
		}
	}
	role := object.Mapping(o.At("roleRef"))
	name := text(role["name"])
	if role["kind"] == "Role" && !e.has("rbac.authorization.k8s.io", "Role", e.namespaceOf(o), name) {
		all = append(all, roleBinding.New(o, "roleRef.name", "Role %s does not exist: the binding grants nothing",
			name))
	}
	return all
}

// checkNamespace reports each namespace once. Objects such as monitors often live elsewhere, so in a
// namespace of no environment only workloads count.
func checkNamespace(e *environment, o object.Object, seen once) []finding.Finding {
	namespace := o.Ref().Namespace
	if namespace == "" || e.Namespace == "" || namespace == e.Namespace {
		return nil
	}
	if owner := e.owner(namespace); owner != "" && seen.first("namespace", namespace) {
		return []finding.Finding{foreignNamespace.New(o, "metadata.namespace",
			"namespace %s belongs to environment %s: a deploy of %s changes that environment", namespace, owner,
			e.Name)}
	}
	_, runsPods := workloadOf(o)
	if runsPods && !e.has("", "Namespace", "", namespace) && seen.first("namespace", namespace) {
		f := foreignNamespace.New(o, "metadata.namespace",
			"namespace %s is not the environment's, %s: the object is deployed outside it", namespace, e.Namespace)
		f.Severity = finding.Warning
		return []finding.Finding{f}
	}
	return nil
}

// didYouMean suggests a known name.
func didYouMean(name string, known []string) string {
	for _, k := range known {
		if strings.HasSuffix(k, "-"+name) || strings.HasPrefix(k, name+"-") || strings.HasSuffix(name, "-"+k) {
			return fmt.Sprintf(" (did you mean %s?)", k)
		}
	}
	if k := project.Suggest(name, known); k != "" {
		return fmt.Sprintf(" (did you mean %s?)", k)
	}
	return ""
}
