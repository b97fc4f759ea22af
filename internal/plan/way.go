package plan

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
)

// makeWay deletes first what would keep a new workload from starting: an old one that holds the same volume
// for one node, the same port of a node, or that must never run beside it. On failure the way back creates it
// again.
func (p *Plan) makeWay(in Input, observed sightings) {
	shared := singleClaims(in)
	for i := range p.Changes {
		old := &p.Changes[i]
		if old.Action != Delete {
			continue
		}
		live := observed.of(old.Ref).Live
		for _, c := range p.Changes {
			if c.Action != Create {
				continue
			}
			next, _ := in.Desired.Get(c.Ref)
			if why := clash(live, next, shared); why != "" {
				old.First = true
				old.Reason += fmt.Sprintf("; deleted first, because %s %s", c.Ref, why)
				break
			}
		}
	}
}

// clash says why two workloads cannot run at the same time; empty when they can.
func clash(old, next object.Object, shared map[object.Ref]bool) string {
	a, _, runs := old.PodSpec()
	b, _, too := next.PodSpec()
	if !runs || !too || old.Ref().Namespace != next.Ref().Namespace {
		return ""
	}
	for _, claim := range claimsOf(next) {
		if shared[claim] && slices.Contains(claimsOf(old), claim) {
			return "needs the volume of PersistentVolumeClaim " + claim.Name
		}
	}
	for _, port := range hostPorts(b) {
		if slices.Contains(hostPorts(a), port) {
			return "needs port " + port + " of the node"
		}
	}
	recreate := func(o object.Object) bool { return o.At("spec", "strategy", "type") == "Recreate" }
	if (recreate(old) || recreate(next)) && sharesImage(a, b) {
		return "must not run beside it (strategy Recreate)"
	}
	return ""
}

// singleClaims returns the claims that one node or one pod uses at a time.
func singleClaims(in Input) map[object.Ref]bool {
	single := map[object.Ref]bool{}
	note := func(o object.Object) {
		if o.Ref().Kind != "PersistentVolumeClaim" {
			return
		}
		modes := texts(o.At("spec", "accessModes"))
		single[o.Ref()] = !slices.Contains(modes, "ReadWriteMany") && !slices.Contains(modes, "ReadOnlyMany")
	}
	for _, o := range in.Desired.Objects() {
		note(o)
	}
	for _, o := range in.Observed {
		note(o.Live)
		for _, template := range object.Mappings(o.Live.At("spec", "volumeClaimTemplates")) {
			modes := texts((object.Object{Body: template}).At("spec", "accessModes"))
			for _, claim := range templateClaims(o.Live, template) {
				single[claim] = !slices.Contains(modes, "ReadWriteMany")
			}
		}
	}
	return single
}

// claimsOf returns the claims that the pods of a workload use.
func claimsOf(o object.Object) []object.Ref {
	spec, _, _ := o.PodSpec()
	var claims []object.Ref
	for _, ref := range object.PodNeeds(spec, o.Ref().Namespace) {
		if ref.Kind == "PersistentVolumeClaim" {
			claims = append(claims, ref)
		}
	}
	for _, template := range object.Mappings(o.At("spec", "volumeClaimTemplates")) {
		claims = append(claims, templateClaims(o, template)...)
	}
	return claims
}

// templateClaims returns the claims that a StatefulSet makes from a template.
func templateClaims(o object.Object, template map[string]any) []object.Ref {
	name, _ := (object.Object{Body: template}).At("metadata", "name").(string)
	replicas, ok := o.At("spec", "replicas").(int64)
	if !ok {
		replicas = 1
	}
	var claims []object.Ref
	for n := range min(replicas, 1000) {
		claims = append(claims, object.Ref{Kind: "PersistentVolumeClaim", Namespace: o.Ref().Namespace,
			Name: fmt.Sprintf("%s-%s-%d", name, o.Ref().Name, n)})
	}
	return claims
}

// hostPorts returns the ports of the node that a pod takes: "8080/TCP".
func hostPorts(spec map[string]any) []string {
	var ports []string
	for _, c := range object.Containers(spec, "") {
		for _, p := range object.Mappings(c.Body["ports"]) {
			port := p["hostPort"]
			if spec["hostNetwork"] == true {
				port = p["containerPort"]
			}
			protocol, _ := p["protocol"].(string)
			if port != nil {
				ports = append(ports, fmt.Sprintf("%v/%s", port, strings.ToUpper(protocolOr(protocol))))
			}
		}
	}
	return ports
}

func protocolOr(p string) string {
	if p == "" {
		return "TCP"
	}
	return p
}

// sharesImage says that two pods run an image of the same repository.
func sharesImage(a, b map[string]any) bool {
	var names []string
	for _, c := range object.Containers(a, "") {
		names = append(names, repositoryOf(c.Body))
	}
	for _, c := range object.Containers(b, "") {
		if slices.Contains(names, repositoryOf(c.Body)) {
			return true
		}
	}
	return false
}

func repositoryOf(container map[string]any) string {
	image, _ := container["image"].(string)
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		image = image[:i]
	}
	return image
}
