package check

import (
	"fmt"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const (
	backendService = rule.ID("backend-service")
	backendPort    = rule.ID("backend-port")
	tlsSecret      = rule.ID("tls-secret")
)

// backend is where an Ingress or a route sends requests.
type backend struct {
	nameField       string
	namespace, name string
	port            map[string]any // "name" or "number"
	portField       string
}

func ingressBackend(field string, v any) backend {
	service := object.Mapping(v)
	port := object.Mapping(service["port"])
	b := backend{nameField: field + ".name", name: text(service["name"]), port: port,
		portField: field + ".port.number"}
	if port["name"] != nil {
		b.portField = field + ".port.name"
	}
	return b
}

func checkIngress(e *environment, o object.Object) []finding.Finding {
	var backends []backend
	if b := object.Mapping(o.At("spec", "defaultBackend"))["service"]; b != nil {
		backends = append(backends, ingressBackend("spec.defaultBackend.service", b))
	}
	for i, rule := range object.Mappings(o.At("spec", "rules")) {
		for j, p := range object.Mappings(object.Mapping(rule["http"])["paths"]) {
			if b := object.Mapping(p["backend"])["service"]; b != nil {
				field := fmt.Sprintf("spec.rules[%d].http.paths[%d].backend.service", i, j)
				backends = append(backends, ingressBackend(field, b))
			}
		}
	}
	var all []finding.Finding
	for _, b := range backends {
		all = append(all, checkBackend(e, o, b)...)
	}
	return all
}

func checkCertificates(e *environment, o object.Object) []finding.Finding {
	for k := range o.Annotations() {
		for _, part := range []string{"cert-manager", "tls-acme", "cert.gardener", "managed-certificates"} {
			if strings.Contains(k, part) {
				return nil
			}
		}
	}
	var all []finding.Finding
	for i, t := range object.Mappings(o.At("spec", "tls")) {
		name := text(t["secretName"])
		_, isMade := e.maker("Secret", name)
		_, mayBeMade := e.mayBeMade("Secret", name)
		if name != "" && !e.has("", "Secret", e.namespaceOf(o), name) && !isMade && !mayBeMade {
			all = append(all, tlsSecret.New(o, fmt.Sprintf("spec.tls[%d].secretName", i),
				"Secret %s is not in the environment and nothing requests it: clients get an untrusted certificate",
				name))
		}
	}
	return all
}

func checkRoute(e *environment, o object.Object) []finding.Finding {
	var all []finding.Finding
	for i, rule := range object.Mappings(o.At("spec", "rules")) {
		for j, b := range object.Mappings(rule["backendRefs"]) {
			all = append(all, checkBackendRef(e, o, fmt.Sprintf("spec.rules[%d].backendRefs[%d]", i, j), b)...)
		}
		for j, filter := range object.Mappings(rule["filters"]) {
			if b := object.Mapping(object.Mapping(filter["requestMirror"])["backendRef"]); b != nil {
				field := fmt.Sprintf("spec.rules[%d].filters[%d].requestMirror.backendRef", i, j)
				all = append(all, checkBackendRef(e, o, field, b)...)
			}
		}
	}
	return all
}

func checkBackendRef(e *environment, o object.Object, field string, b map[string]any) []finding.Finding {
	if text(b["group"]) != "" || b["kind"] != nil && b["kind"] != "Service" {
		return nil
	}
	return checkBackend(e, o, backend{
		nameField: field + ".name", namespace: text(b["namespace"]), name: text(b["name"]),
		port: map[string]any{"number": b["port"]}, portField: field + ".port",
	})
}

func checkBackend(e *environment, o object.Object, b backend) []finding.Finding {
	if b.name == "" || b.port["name"] == "use-annotation" { // the AWS controller reads an annotation
		return nil
	}
	namespace := b.namespace
	if namespace == "" {
		namespace = e.namespaceOf(o)
	}
	service, ok := e.get("", "Service", namespace, b.name)
	if ok {
		return checkBackendPort(o, b, service)
	}
	_, mayBeMade := e.mayBeMade("Service", b.name)
	if b.namespace != "" && b.namespace != e.Namespace || !e.complete && mayBeMade {
		return nil
	}
	names := e.names("", "Service", namespace)
	f := backendService.New(o, b.nameField, "Service %s does not exist: requests get 503 or 404%s",
		b.name, didYouMean(b.name, names))
	return []finding.Finding{f.WarnUnless(e.complete && len(names) > 0)}
}

func checkBackendPort(o object.Object, b backend, service object.Object) []finding.Finding {
	var have []string
	for _, p := range object.Mappings(service.At("spec", "ports")) {
		if b.port["name"] != nil && b.port["name"] == p["name"] ||
			b.port["number"] != nil && b.port["number"] == p["port"] {
			return nil
		}
		have = append(have, declaredPort{p["name"], p["port"]}.String())
	}
	asked := b.port["name"]
	if asked == nil {
		asked = b.port["number"]
	}
	if asked == nil || len(have) == 0 {
		return nil
	}
	return []finding.Finding{backendPort.New(o, b.portField,
		"Service %s has no port %v: requests fail (ports: %s)",
		b.name, asked, strings.Join(have, ", "))}
}

// checkIngressRoute checks a route of Traefik.
func checkIngressRoute(e *environment, o object.Object) []finding.Finding {
	var all []finding.Finding
	for i, r := range object.Mappings(o.At("spec", "routes")) {
		for j, s := range object.Mappings(r["services"]) {
			if s["kind"] != nil && s["kind"] != "Service" {
				continue
			}
			field := fmt.Sprintf("spec.routes[%d].services[%d]", i, j)
			b := backend{nameField: field + ".name", portField: field + ".port",
				namespace: text(s["namespace"]), name: text(s["name"])}
			if _, isName := s["port"].(string); isName {
				b.port = map[string]any{"name": s["port"]}
			} else {
				b.port = map[string]any{"number": s["port"]}
			}
			all = append(all, checkBackend(e, o, b)...)
		}
	}
	return all
}
