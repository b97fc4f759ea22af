package check

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const routeSubset = rule.ID("route-subset")

const istio = "networking.istio.io"

// checkVirtual checks where a VirtualService of Istio sends requests.
func checkVirtual(e *environment, o object.Object) []finding.Finding {
	var all []finding.Finding
	for _, protocol := range []string{"http", "tls", "tcp"} {
		for i, r := range object.Mappings(o.At("spec", protocol)) {
			at := fmt.Sprintf("spec.%s[%d]", protocol, i)
			for j, to := range object.Mappings(r["route"]) {
				field := fmt.Sprintf("%s.route[%d].destination", at, j)
				all = append(all, checkDestination(e, o, field, object.Mapping(to["destination"]))...)
			}
			for j, to := range object.Mappings(r["mirrors"]) {
				field := fmt.Sprintf("%s.mirrors[%d].destination", at, j)
				all = append(all, checkDestination(e, o, field, object.Mapping(to["destination"]))...)
			}
			all = append(all, checkDestination(e, o, at+".mirror", object.Mapping(r["mirror"]))...)
		}
	}
	return all
}

func checkDestination(e *environment, o object.Object, field string, to map[string]any) []finding.Finding {
	name, namespace, ok := meshService(e, o, text(to["host"]))
	if !ok {
		return nil
	}
	all := checkBackend(e, o, backend{
		nameField: field + ".host", namespace: namespace, name: name,
		port: object.Mapping(to["port"]), portField: field + ".port.number",
	})
	if len(all) == 0 {
		all = checkSubset(e, o, field+".subset", text(to["subset"]), name, namespace)
	}
	return all
}

// checkSubset reports a subset that no DestinationRule of the service defines.
func checkSubset(e *environment, o object.Object, field, subset, name, namespace string) []finding.Finding {
	if subset == "" {
		return nil
	}
	var known []string
	rules := 0
	for _, d := range e.objects {
		if d.Ref().Group != istio || d.Ref().Kind != "DestinationRule" {
			continue
		}
		n, ns, ok := meshService(e, d, text(d.At("spec", "host")))
		if !ok || n != name || !sameNamespace(ns, namespace) {
			continue
		}
		rules++
		for _, s := range object.Mappings(d.At("spec", "subsets")) {
			known = append(known, text(s["name"]))
		}
	}
	if slices.Contains(known, subset) || rules == 0 && namespace != e.Namespace && !e.runsIn(namespace) {
		return nil
	}
	f := routeSubset.New(o, field, "no DestinationRule of Service %s defines subset %s: requests get 503%s",
		name, subset, didYouMean(subset, known))
	return []finding.Finding{f.WarnUnless(rules > 0 || e.completeIn(namespace))}
}

// checkDestinationRule checks the service that a DestinationRule is for, and the pods of its subsets.
func checkDestinationRule(e *environment, o object.Object) []finding.Finding {
	name, namespace, ok := meshService(e, o, text(o.At("spec", "host")))
	if !ok {
		return nil
	}
	all := checkBackend(e, o, backend{nameField: "spec.host", namespace: namespace, name: name})
	service, ok := e.get("", "Service", namespace, name)
	if !ok || len(e.selected(namespace, serviceSelectorOf(service))) == 0 {
		return all
	}
	for i, s := range object.Mappings(o.At("spec", "subsets")) {
		labels := labelSet(object.Mapping(service.At("spec", "selector")))
		for k, v := range labelSet(object.Mapping(s["labels"])) {
			labels[k] = v
		}
		if len(e.selected(namespace, labels.AsSelector())) == 0 {
			f := routeSubset.New(o, fmt.Sprintf("spec.subsets[%d].labels", i),
				"subset %s selects no pods of Service %s: its requests get 503%s", text(s["name"]), name,
				nearMiss(e, service, labels))
			all = append(all, f.WarnUnless(e.completeIn(namespace)))
		}
	}
	return all
}

// meshService is the Service that a host names; false where it is another host, such as a ServiceEntry's.
func meshService(e *environment, o object.Object, host string) (name, namespace string, ok bool) {
	if host == "" || strings.Contains(host, "*") {
		return "", "", false
	}
	name, rest, dotted := strings.Cut(host, ".")
	if !dotted {
		return name, e.namespaceOf(o), true
	}
	namespace, rest, _ = strings.Cut(rest, ".")
	isLocal := rest == "svc" || strings.HasPrefix(rest, "svc.")
	return name, namespace, isLocal
}
