package check

import (
	"fmt"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const policyTarget = rule.ID("policy-target")

// checkPolicy reports a NetworkPolicy that is about no pods, peers that do not exist, and named ports that no
// container has.
func checkPolicy(e *environment, o object.Object) []finding.Finding {
	namespace := e.namespaceOf(o)
	selector := policySelectorOf(o)
	pods := e.selected(namespace, selector)
	if len(pods) == 0 {
		if selector.Empty() || !e.completeIn(namespace) {
			return nil
		}
		near := nearMiss(e, o, labelSet(object.Mapping(o.At("spec", "podSelector", "matchLabels"))))
		return []finding.Finding{policyTarget.New(o, "spec.podSelector",
			"podSelector %s matches no workload: the policy protects nothing%s", selector, near)}
	}
	var all []finding.Finding
	for i, r := range object.Mappings(o.At("spec", "ingress")) {
		at := fmt.Sprintf("spec.ingress[%d]", i)
		all = append(all, checkPolicyPorts(o, at, r, pods)...)
		all = append(all, checkPeers(e, o, at+".from", r["from"])...)
	}
	for i, r := range object.Mappings(o.At("spec", "egress")) {
		at := fmt.Sprintf("spec.egress[%d]", i)
		all = append(all, checkPeers(e, o, at+".to", r["to"])...)
		if peers := object.Mappings(r["to"]); len(peers) == 1 && isOwnPeer(peers[0]) {
			peer := e.selected(namespace, selectorOf(peers[0]["podSelector"]))
			all = append(all, checkPolicyPorts(o, at, r, peer)...)
		}
	}
	return all
}

// isOwnPeer reports whether a peer is pods of the policy's own namespace.
func isOwnPeer(peer map[string]any) bool {
	return peer["podSelector"] != nil && peer["namespaceSelector"] == nil && peer["ipBlock"] == nil
}

func checkPeers(e *environment, o object.Object, at string, list any) []finding.Finding {
	var all []finding.Finding
	for i, peer := range object.Mappings(list) {
		selector := selectorOf(peer["podSelector"])
		if !isOwnPeer(peer) || selector.Empty() || !e.completeIn(e.namespaceOf(o)) ||
			len(e.selected(e.namespaceOf(o), selector)) > 0 {
			continue
		}
		near := nearMiss(e, o, labelSet(object.Mapping(object.Mapping(peer["podSelector"])["matchLabels"])))
		all = append(all, policyTarget.New(o, fmt.Sprintf("%s[%d].podSelector", at, i),
			"podSelector %s matches no workload of the namespace: the rule allows nothing%s", selector, near))
	}
	return all
}

// checkPolicyPorts reports named ports; numbers need not be declared.
func checkPolicyPorts(o object.Object, at string, r map[string]any, pods []workload) []finding.Finding {
	declared := declaredPorts(pods)
	isInjected := slices.ContainsFunc(pods, func(w workload) bool { return w.injected })
	var all []finding.Finding
	for i, p := range object.Mappings(r["ports"]) {
		name, isName := p["port"].(string)
		if !isName || len(pods) == 0 ||
			slices.ContainsFunc(declared.all, func(d declaredPort) bool { return d.name == name }) {
			continue
		}
		f := policyTarget.New(o, fmt.Sprintf("%s.ports[%d].port", at, i),
			"no container has a port named %s: the rule allows nothing (%s %s has %s)", name, pods[0].Ref().Kind,
			pods[0].Ref().Name, listedOrNone(declared.all))
		f.Severity = finding.Error
		all = append(all, f.WarnUnless(!isInjected))
	}
	return all
}

func listedOrNone(ports []declaredPort) string {
	if len(ports) == 0 {
		return "none"
	}
	return listed(ports)
}
