package check

import (
	"fmt"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const duplicateKey = rule.ID("duplicate-key")

// duplicates checks names that may be there once, beside the keys of lists, which the schema knows.
func duplicates(_ *subject, e *environment) found {
	var all []finding.Finding
	for _, o := range e.objects {
		switch r := o.Ref(); r.Group + "/" + r.Kind {
		case "/Service":
			all = append(all, namesOnce(o, "spec.ports", object.Mappings(o.At("spec", "ports")))...)
		case "/Secret":
			all = append(all, keysOnce(o, "data", "stringData", "stringData wins")...)
		case "/ConfigMap":
			all = append(all, keysOnce(o, "data", "binaryData", "the API server refuses the object")...)
		}
	}
	for _, w := range e.workloads {
		_, _, isBuiltIn := w.PodSpec()
		for _, c := range w.containers() {
			all = append(all, namesOnce(w.Object, c.path+".ports", object.Mappings(c.body["ports"]))...)
			if !isBuiltIn { // the schema of a custom resource does not say that names are keys
				all = append(all, namesOnce(w.Object, c.path+".env", object.Mappings(c.body["env"]))...)
			}
		}
		all = append(all, portsOnce(w)...)
	}
	return found{findings: all}
}

// namesOnce reports an entry of a list that has the name of an earlier one.
func namesOnce(o object.Object, path string, list []map[string]any) []finding.Finding {
	var all []finding.Finding
	seen := map[string]int{}
	for i, entry := range list {
		name := text(entry["name"])
		first, twice := seen[name]
		if !twice || name == "" {
			seen[name] = i
			continue
		}
		f := duplicateKey.New(o, fmt.Sprintf("%s[%d].name", path, i), "%s has the name %s twice: the deploy fails",
			path, name)
		f.Other = fmt.Sprintf("%s[%d].name", path, first)
		f.Fix = "Give each entry a name of its own."
		all = append(all, f)
	}
	return all
}

// keysOnce reports a key in two parts of one object.
func keysOnce(o object.Object, part, other, what string) []finding.Finding {
	var all []finding.Finding
	have := object.Mapping(o.At(part))
	for _, key := range keysOf(o) {
		_, here := have[key]
		if _, there := object.Mapping(o.At(other))[key]; here && there {
			f := duplicateKey.New(o, object.Join(other, key), "key %s is in %s and in %s: %s", key, part, other, what)
			f.Other = object.Join(part, key)
			f.Fix = "Remove one of the two."
			all = append(all, f.WarnUnless(other == "binaryData"))
		}
	}
	return all
}

// portsOnce reports a port of two containers that run at the same time: they share one network.
func portsOnce(w workload) []finding.Finding {
	type port struct{ number, protocol any }
	first := map[port]string{}
	var all []finding.Finding
	for _, c := range w.containers() {
		if !c.stays {
			continue
		}
		for i, p := range object.Mappings(c.body["ports"]) {
			protocol := p["protocol"]
			if protocol == nil {
				protocol = "TCP"
			}
			key := port{p["containerPort"], protocol}
			owner, taken := first[key]
			if !taken || owner == c.name {
				first[key] = c.name
				continue
			}
			f := duplicateKey.New(w.Object, fmt.Sprintf("%s.ports[%d].containerPort", c.path, i),
				"containers %s and %s both listen on port %v: they share the pod's network, and one of them fails",
				owner, c.name, p["containerPort"])
			f.Fix = "Give one of them another port."
			f.Severity = finding.Warning
			all = append(all, f)
		}
	}
	return all
}
