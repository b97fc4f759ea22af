package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

var (
	serviceSelector = finding.Rule{ID: "service-selector", Group: "references", Severity: finding.Error,
		Title: "A Service selects no pods",
		Why: "A Service sends requests to the pods whose labels its selector names. Where no pod has them it " +
			"has no endpoints: every request is refused, and nothing else says so.",
		Fix: "Write the labels of the pod template into the selector:\n\n```yaml\nspec:\n  selector:\n    app: " +
			"myapp\n```\n\nPods that somebody else makes are an exception to write down. A Service without a " +
			"selector is fine."}
	servicePort = finding.Rule{ID: "service-port", Group: "references", Severity: finding.Error,
		Title: "A Service sends to a port that its pods do not have",
		Why: "A targetPort that is a name is looked up in the pod's containers. Where none has a port of that " +
			"name the Service has no endpoints. A number works whether it is declared or not, but where a container " +
			"lists its ports and this one is not among them it is often a slip.",
		Fix: "Name a port of the container:\n\n```yaml\nports:\n  - port: 80\n    targetPort: http # " +
			"containers[].ports[].name\n```"}
	backendService = finding.Rule{ID: "backend-service", Group: "references", Severity: finding.Error,
		Title: "A route leads to a Service that is not there",
		Why: "An Ingress or HTTPRoute is accepted even if the Service that it names does not exist. Whoever " +
			"follows the route gets 503 or 404.",
		Fix: "Name a Service of this environment as it is rendered, with its prefix if it has one."}
	backendPort = finding.Rule{ID: "backend-port", Group: "references", Severity: finding.Error,
		Title: "A route leads to a port that the Service does not have",
		Why: "A route names the port of the Service, not that of the container. Where the Service has no such " +
			"port the route leads nowhere.",
		Fix: "Write the name or the number of one of the Service's `ports`."}
	scaleTarget = finding.Rule{ID: "scale-target", Group: "references", Severity: finding.Error,
		Title: "An autoscaler has nothing to scale",
		Why: "A HorizontalPodAutoscaler is accepted whatever its scaleTargetRef names. Where that is not there " +
			"nothing is ever scaled, and only its status says so.",
		Fix: "Name the workload as it is rendered:\n\n```yaml\nscaleTargetRef:\n  apiVersion: apps/v1\n  kind: " +
			"Deployment\n  name: myapp\n```"}
	budgetSelector = finding.Rule{ID: "budget-selector", Group: "references", Severity: finding.Error,
		Title: "A PodDisruptionBudget covers no pods",
		Why: "A budget protects the pods that its selector takes. Where it takes none, a node that is drained " +
			"may stop all of them at once.",
		Fix: "Write the labels of the pod template into `spec.selector.matchLabels`."}
	configMissing = finding.Rule{ID: "config-missing", Group: "references", Severity: finding.Error,
		Title: "A pod needs a ConfigMap or Secret that is not there",
		Why: "A container whose environment or volume comes from a ConfigMap or Secret does not start before " +
			"that exists. It waits as CreateContainerConfigError or ContainerCreating, and the deploy with it. What " +
			"is made by hand may be in the cluster already: that is why this is mostly a warning.",
		Fix: "Let the environment bring it (a generator, an ExternalSecret, an encrypted Secret), or say " +
			"`optional: true` where the container can do without, or write down as an exception who makes it."}
	configKey = finding.Rule{ID: "config-key", Group: "references", Severity: finding.Error,
		Title: "A pod needs a key that its ConfigMap or Secret does not have",
		Why: "The ConfigMap or Secret is there, and the key that is asked for is not in it. The container does " +
			"not start: CreateContainerConfigError.",
		Fix: "Name a key that is there, or add it, or say `optional: true`."}
	accountMissing = finding.Rule{ID: "account-missing", Group: "references", Severity: finding.Warning,
		Title: "A pod runs as a ServiceAccount that is not there",
		Why: "Without its ServiceAccount no pod is made at all: the workload stays at 0 replicas with " +
			"FailedCreate. It may have been made by other means, such as Terraform.",
		Fix: "```yaml\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: myapp\n```"}
	claimMissing = finding.Rule{ID: "claim-missing", Group: "references", Severity: finding.Warning,
		Title: "A pod mounts a claim that is not there",
		Why: "A pod whose PersistentVolumeClaim does not exist stays Pending. " +
			"The claim may have been made by hand.",
		Fix: "Let the environment bring the PersistentVolumeClaim, or name the one that is there."}
	tlsSecret = finding.Rule{ID: "tls-secret", Group: "references", Severity: finding.Warning,
		Title: "Nobody makes the certificate of an Ingress",
		Why: "The Secret that `tls` names is not in this environment, and neither a Certificate nor an " +
			"annotation asks cert-manager for it. Without it the ingress controller answers with a certificate of " +
			"its own, which browsers refuse.",
		Fix: "```yaml\nmetadata:\n  annotations:\n    cert-manager.io/cluster-issuer: letsencrypt\n```"}
	roleBinding = finding.Rule{ID: "role-binding", Group: "references", Severity: finding.Warning,
		Title: "A role is bound to, or from, something that is not there",
		Why: "A binding is accepted whatever it names. Where the ServiceAccount or the Role is another one, or " +
			"lives in another environment's namespace, the pod is refused what it asks for, or somebody else's is " +
			"allowed it.",
		Fix: "Name the ServiceAccount with this environment's namespace, and a Role that is " +
			"there:\n\n```yaml\nsubjects:\n  - kind: ServiceAccount\n    name: myapp\n    namespace: prod\n```"}
	foreignNamespace = finding.Rule{ID: "foreign-namespace", Group: "references", Severity: finding.Error,
		Title: "An object goes to a namespace that is not the environment's",
		Why: "An object that names a namespace by itself goes there, whatever the environment says. If it is " +
			"another environment's, a deploy of this one changes that one.",
		Fix: "Leave `metadata.namespace` out, or set `namespace:` once in the overlay's kustomization.yaml."}
)

// references are the rules on what names what.
var references = group{
	rules: []finding.Rule{serviceSelector, servicePort, backendService, backendPort, scaleTarget, budgetSelector,
		configMissing, configKey,
		accountMissing, claimMissing, tlsSecret, roleBinding, foreignNamespace},
	each: func(r *run, env environment) {
		s := take(r, env)
		for _, o := range s.objects {
			s.refers(o)
			s.foreign(o)
		}
		for _, w := range s.pods {
			s.needs(w)
		}
	},
}

func (s *stock) refers(o object.Object) {
	ref := o.Ref()
	switch ref.Group + "/" + ref.Kind {
	case "/Service":
		s.service(o)
	case "networking.k8s.io/Ingress":
		s.ingress(o)
	case "gateway.networking.k8s.io/HTTPRoute", "gateway.networking.k8s.io/GRPCRoute",
		"gateway.networking.k8s.io/TCPRoute", "gateway.networking.k8s.io/TLSRoute":
		s.route(o)
	case "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject":
		s.scales(o)
	case "policy/PodDisruptionBudget":
		selector := selectorOf(o.At("spec", "selector"))
		if !selector.Empty() && len(s.selected(s.namespace(o), selector)) == 0 {
			s.tell(budgetSelector, s.whole, o, "spec.selector", "",
				"it covers pods with %s, and no workload here has such%s", selector,
				s.nearly(o, words(object.Mapping(o.At("spec", "selector", "matchLabels")))))
		}
	case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
		s.binding(o)
	}
}

func (s *stock) service(o object.Object) {
	selector := words(object.Mapping(o.At("spec", "selector")))
	if len(selector) == 0 || o.At("spec", "type") == "ExternalName" {
		return
	}
	pods := s.selected(s.namespace(o), selector.AsSelector())
	if len(pods) == 0 {
		s.tell(serviceSelector, s.whole, o, "spec.selector", "",
			"it selects pods with %s, and no workload here has such%s: it has no endpoints", selector,
			s.nearly(o, selector))
		return
	}
	for i, p := range object.Mappings(o.At("spec", "ports")) {
		s.target(o, fmt.Sprintf("spec.ports[%d]", i), p, pods)
	}
}

// nearly names a workload that has some of the labels, or other values for them: rather the object's
// namesake.
func (s *stock) nearly(o object.Object, want labels.Set) string {
	namesake := func(w workload) bool { return w.Ref().Name == o.Ref().Name }
	pods := slices.DeleteFunc(slices.Clone(s.pods), func(w workload) bool { return !namesake(w) })
	for _, w := range append(pods, s.pods...) {
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if have, ok := w.labels[k]; ok && have != want[k] && s.together(s.namespace(w.Object), s.namespace(o)) {
				return fmt.Sprintf(" (%s %s has %s=%v)", w.Ref().Kind, w.Ref().Name, k, have)
			}
		}
	}
	return ""
}

func (s *stock) target(o object.Object, field string, port map[string]any, pods []workload) {
	wanted, said := port["targetPort"]
	if !said {
		wanted = port["port"]
	} else {
		field += ".targetPort"
	}
	var names []string
	loose, listed := false, true
	for _, w := range pods {
		loose = loose || w.loose
		declares := false
		for _, c := range w.containers() {
			for _, p := range object.Mappings(c.body["ports"]) {
				if !c.stays {
					continue
				}
				declares = true
				if n, ok := number(p["containerPort"]); wanted == p["name"] || ok && any(int64(n)) == wanted {
					return
				}
				names = append(names, strings.TrimPrefix(fmt.Sprintf("%s %v", text(p["name"]), p["containerPort"]), " "))
			}
		}
		listed = listed && declares
	}
	has := "declares no ports"
	if len(names) > 0 {
		has = "has " + strings.Join(slices.Compact(names), ", ")
	}
	who := pods[0].Ref()
	if name, ok := wanted.(string); ok {
		s.tell(servicePort, !loose, o, field, "",
			"it sends to the port %q; %s %s %s: there are no endpoints for it", name, who.Kind, who.Name, has)
	} else if listed && o.At("spec", "clusterIP") != "None" {
		s.tell(servicePort, false, o, field, "", "it sends to port %v; %s %s %s", wanted, who.Kind, who.Name, has)
	}
}

func (s *stock) ingress(o object.Object) {
	if b := object.Mapping(object.Mapping(o.At("spec", "defaultBackend"))["service"]); b != nil {
		s.backend(o, "spec.defaultBackend.service", "", text(b["name"]), b["port"])
	}
	for i, rule := range object.Mappings(o.At("spec", "rules")) {
		for j, p := range object.Mappings(object.Mapping(rule["http"])["paths"]) {
			if b := object.Mapping(object.Mapping(p["backend"])["service"]); b != nil {
				s.backend(o, fmt.Sprintf("spec.rules[%d].http.paths[%d].backend.service", i, j), "",
					text(b["name"]), b["port"])
			}
		}
	}
	for k := range o.Annotations() {
		if strings.Contains(k, "cert-manager") || strings.Contains(k, "tls-acme") ||
			strings.Contains(k, "cert.gardener") || strings.Contains(k, "managed-certificates") {
			return
		}
	}
	for i, t := range object.Mappings(o.At("spec", "tls")) {
		name := text(t["secretName"])
		if _, there := s.get("", "Secret", s.namespace(o), name); name != "" && !there && !s.made(name) {
			s.tell(tlsSecret, false, o, fmt.Sprintf("spec.tls[%d].secretName", i), "",
				"nobody makes the Secret %s that its certificate is in", name)
		}
	}
}

func (s *stock) route(o object.Object) {
	for i, rule := range object.Mappings(o.At("spec", "rules")) {
		for j, b := range object.Mappings(rule["backendRefs"]) {
			if text(b["group"]) == "" && (b["kind"] == nil || b["kind"] == "Service") {
				s.backend(o, fmt.Sprintf("spec.rules[%d].backendRefs[%d]", i, j), text(b["namespace"]), text(b["name"]),
					map[string]any{"number": b["port"]})
			}
		}
	}
}

func (s *stock) backend(o object.Object, field, namespace, name string, port any) {
	p := object.Mapping(port)
	if name == "" || p["name"] == "use-annotation" { // the AWS controller's word for a backend in an annotation
		return
	}
	at := namespace
	if at == "" {
		at = s.namespace(o)
	}
	service, ok := s.get("", "Service", at, name)
	if !ok {
		var names []string
		for _, other := range s.all("", "Service", at) {
			names = append(names, other.Ref().Name)
		}
		if (s.whole || !s.made(name)) && (namespace == "" || namespace == s.Namespace) {
			s.tell(backendService, s.whole && len(names) > 0, o, field+".name", "",
				"it leads to Service %s, which is not there%s", name, meant(name, names))
		}
		return
	}
	var have []string
	for _, sp := range object.Mappings(service.At("spec", "ports")) {
		if p["name"] != nil && p["name"] == sp["name"] || p["number"] != nil && p["number"] == sp["port"] {
			return
		}
		have = append(have, strings.TrimPrefix(fmt.Sprintf("%s %v", text(sp["name"]), sp["port"]), " "))
	}
	asked := p["name"]
	if asked == nil {
		asked = p["number"]
	}
	if asked == nil || len(have) == 0 {
		return
	}
	if strings.Contains(field, "backendRefs") {
		field += ".port"
	} else {
		field += ".port." + map[bool]string{true: "name", false: "number"}[p["name"] != nil]
	}
	s.tell(backendPort, true, o, field, "", "it leads to port %v of Service %s, which has %s", asked, name,
		strings.Join(have, ", "))
}

// meant offers what is probably meant.
func meant(name string, known []string) string {
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

// scaled is what an autoscaler scales, by group, kind and name.
func scaled(o object.Object) (group, kind, name string) {
	t := object.Mapping(o.At("spec", "scaleTargetRef"))
	group, _, _ = strings.Cut(text(t["apiVersion"]), "/")
	if kind = text(t["kind"]); kind == "" && o.Ref().Group == "keda.sh" {
		kind = "Deployment"
	}
	if kind == "Deployment" || kind == "StatefulSet" || kind == "ReplicaSet" {
		group = "apps"
	}
	return group, kind, text(t["name"])
}

func (s *stock) scales(o object.Object) {
	group, kind, name := scaled(o)
	if _, ok := s.get(group, kind, s.namespace(o), name); ok || name == "" {
		return
	}
	var names []string
	for _, other := range s.all(group, kind, s.namespace(o)) {
		names = append(names, other.Ref().Name)
	}
	if group == "apps" || len(names) > 0 {
		s.tell(scaleTarget, s.whole && group == "apps", o, "spec.scaleTargetRef.name", "",
			"it scales %s %s, which is not there%s", kind, name, meant(name, names))
	}
}

func (s *stock) binding(o object.Object) {
	for i, subject := range object.Mappings(o.At("subjects")) {
		name, namespace := text(subject["name"]), text(subject["namespace"])
		if subject["kind"] != "ServiceAccount" || name == "default" {
			continue
		}
		field := fmt.Sprintf("subjects[%d]", i)
		if namespace == "" {
			namespace = s.namespace(o)
		}
		if s.has("ServiceAccount", namespace, name) {
			continue
		}
		if owner := s.owner(namespace); owner != "" {
			s.tell(roleBinding, false, o, field+".namespace", "",
				"it is for ServiceAccount %s of namespace %s, which is the environment %s", name, namespace, owner)
		} else if s.together(namespace, s.namespace(o)) {
			s.tell(roleBinding, false, o, field+".name", "", "it is for ServiceAccount %s, which is not there", name)
		}
	}
	role := object.Mapping(o.At("roleRef"))
	if _, ok := s.get("rbac.authorization.k8s.io", "Role", s.namespace(o),
		text(role["name"])); role["kind"] == "Role" && !ok {
		s.tell(roleBinding, false, o, "roleRef.name", "", "it binds Role %s, which is not there",
			text(role["name"]))
	}
}

func (s *stock) has(kind, namespace, name string) bool {
	_, ok := s.get("", kind, namespace, name)
	return ok
}

// owner is the other environment whose namespace it is.
func (s *stock) owner(namespace string) string {
	if namespace == s.Namespace {
		return ""
	}
	for _, e := range s.Project.Environments {
		if e.Name != s.Name && e.Namespace == namespace && namespace != "" {
			return e.Name
		}
	}
	return ""
}

// foreign is told once a namespace. What some kinds are for lies elsewhere by nature.
func (s *stock) foreign(o object.Object) {
	namespace := o.Ref().Namespace
	if namespace == "" || s.Namespace == "" || namespace == s.Namespace {
		return
	}
	if owner := s.owner(namespace); owner != "" && s.once("namespace", namespace) {
		s.tell(foreignNamespace, true, o, "metadata.namespace", "",
			"it goes to namespace %s, which is the environment %s: a deploy of %s changes that one",
			namespace, owner, s.Name)
		return
	}
	_, brought := s.get("", "Namespace", "", namespace)
	if _, pods := runs(o); pods && !brought && s.once("namespace", namespace) {
		s.tell(foreignNamespace, false, o, "metadata.namespace", "",
			"it goes to namespace %s, and the environment is %s", namespace, s.Namespace)
	}
}
