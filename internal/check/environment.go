package check

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// environment is a rendered environment with its objects indexed by what refers to what.
type environment struct {
	project.Environment
	render.Result
	index
	objects   []object.Object
	workloads []workload
	labelled  map[string][]workload // the same, by each label of their pods, "KEY=VALUE"
	// leftOut are files that do not exist, without which the environment was rendered.
	leftOut []LeftOut
	// all are the project's environments.
	all []project.Environment
	// complete: the set seems to hold everything in the namespace, so that an object outside it does not exist.
	complete bool
	// made are the Secrets and ConfigMaps that something in the set makes.
	made []made
	// mentioned are the strings in custom resources, any of which may name what a controller makes, with the
	// resource that has it first.
	mentioned map[string]object.Object
	custom    []object.Object // resources whose controllers may make anything
}

// workload is an object that runs pods.
type workload struct {
	object.Object
	labels map[string]any
	set    labels.Set // the same, for selectors
	spec   map[string]any
	path   string
	// injected: a webhook may add containers and volumes that the set does not show.
	injected bool
}

// container is one of a pod's, with its path.
type container struct {
	body map[string]any
	path string
	name string
	// stays: it runs as long as the pod.
	stays bool
}

func newEnvironment(r Rendered, all []project.Environment) *environment {
	e := &environment{
		Environment: r.Environment, Result: r.Result,
		objects: r.Set.Objects(), all: all, mentioned: map[string]object.Object{}, leftOut: r.leftOut,
	}
	e.index, e.labelled = newIndex(e.objects), map[string][]workload{}
	e.made = madeIn(e.objects)
	e.complete = !slices.ContainsFunc(all, func(other project.Environment) bool {
		return sharePlace(e.Environment, other)
	})
	for _, o := range e.objects {
		if w, ok := workloadOf(o); ok {
			e.workloads = append(e.workloads, w)
			for k, v := range w.set {
				e.labelled[k+"="+v] = append(e.labelled[k+"="+v], w)
			}
			if o.Ref().Kind == "Job" {
				mentionArguments(w, e.mentioned)
			}
		}
		ref := o.Ref()
		if !strings.Contains(ref.Group, ".") || strings.HasSuffix(ref.Group, ".k8s.io") {
			continue
		}
		if _, runsPods := workloadOf(o); !runsPods && !makesNothing(ref) {
			e.custom = append(e.custom, o)
			if !isExact(o) {
				mention(o, o.Body, e.mentioned)
			}
		}
		e.complete = e.complete && !makesPods(ref)
	}
	e.complete = e.complete && len(e.workloads) > 0 && len(e.leftOut) == 0
	return e
}

// sharePlace reports whether another environment lives in the same cluster and namespace.
func sharePlace(e, other project.Environment) bool {
	place := func(e project.Environment) string {
		if e.Context == "" {
			return e.Name
		}
		return e.Context
	}
	namespace := e.Namespace == other.Namespace || e.Namespace == "" || other.Namespace == ""
	return e.Name != other.Name && place(e) == place(other) && namespace
}

// makesPods reports whether a custom resource may bring pods or Services of its own.
func makesPods(ref object.Ref) bool {
	switch ref.Group {
	case "cert-manager.io", "external-secrets.io", "bitnami.com", "networking.istio.io", "security.istio.io",
		"traefik.io", "traefik.containo.us", "keda.sh", "cilium.io", "crd.projectcalico.org",
		"projectcalico.org", "kyverno.io", "argoproj.io", "secrets-store.csi.x-k8s.io", "autoscaling.k8s.io":
		return false
	case "monitoring.coreos.com":
		return !strings.HasSuffix(ref.Kind, "Monitor") && ref.Kind != "PrometheusRule"
	}
	return true
}

// mentionArguments notes the arguments of a Job: one that makes a Secret has its name among them.
func mentionArguments(w workload, into map[string]object.Object) {
	for _, c := range w.containers() {
		args, _ := c.body["args"].([]any)
		for _, arg := range args {
			_, value, _ := strings.Cut(text(arg), "=")
			into[text(arg)], into[value] = w.Object, w.Object
		}
	}
}

func mention(o object.Object, v any, into map[string]object.Object) {
	switch v := v.(type) {
	case string:
		if _, known := into[v]; !known {
			into[v] = o
		}
	case []any:
		for _, e := range v {
			mention(o, e, into)
		}
	case map[string]any:
		for _, e := range v {
			mention(o, e, into)
		}
	}
}

// makesNothing reports whether the controller of a custom resource makes no other objects that pods need.
func makesNothing(ref object.Ref) bool {
	switch ref.Group {
	case "networking.istio.io", "security.istio.io", "traefik.io", "traefik.containo.us", "keda.sh", "cilium.io",
		"crd.projectcalico.org", "projectcalico.org", "autoscaling.k8s.io":
		return true
	}
	return strings.HasSuffix(ref.Kind, "Monitor") || ref.Kind == "PrometheusRule"
}

// workloadOf also knows custom resources that hold a pod template where a Deployment does.
func workloadOf(o object.Object) (workload, bool) {
	w := workload{Object: o}
	spec, path, ok := o.PodSpec()
	metadata, _, _ := o.PodMetadata()
	if !ok {
		spec, _ = o.At("spec", "template", "spec").(map[string]any)
		if len(object.Mappings(spec["containers"])) == 0 {
			return w, false
		}
		path = "spec.template.spec"
		metadata, _ = o.At("spec", "template", "metadata").(map[string]any)
	}
	w.spec, w.path = spec, path
	w.labels, _ = metadata["labels"].(map[string]any)
	w.set = labelSet(w.labels)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, m := range []map[string]any{w.labels, annotations} {
		for k := range m {
			w.injected = w.injected || strings.Contains(k, "inject")
		}
	}
	return w, true
}

func (w workload) containers() []container {
	var out []container
	for _, c := range object.Containers(w.spec, w.path) {
		stays := c.List == "containers" || c.Body["restartPolicy"] == "Always"
		out = append(out, container{c.Body, c.Path, text(c.Body["name"]), stays})
	}
	return out
}

// namespaceOf is where an object ends up; empty where neither it nor the environment says.
func (e *environment) namespaceOf(o object.Object) string {
	if n := o.Ref().Namespace; n != "" {
		return n
	}
	return e.Namespace
}

func sameNamespace(a, b string) bool { return a == "" || b == "" || a == b }

// completeIn reports whether pods that the environment lacks do not exist in the namespace either. One in
// which it runs nothing is somebody else's.
func (e *environment) completeIn(namespace string) bool {
	return e.complete && e.runsIn(namespace)
}

// runsIn reports whether the environment has workloads in a namespace.
func (e *environment) runsIn(namespace string) bool {
	return slices.ContainsFunc(e.workloads, func(w workload) bool {
		return e.namespaceOf(w.Object) == namespace
	})
}

// list returns the objects of a kind that share a namespace.
func (e *environment) list(group, kind, namespace string) []object.Object {
	var found []object.Object
	for _, o := range e.kinds[kindOf{group, kind}] {
		if sameNamespace(e.namespaceOf(o), namespace) {
			found = append(found, o)
		}
	}
	return found
}

// names returns the names of what list returns.
func (e *environment) names(group, kind, namespace string) []string {
	var names []string
	for _, o := range e.list(group, kind, namespace) {
		names = append(names, o.Ref().Name)
	}
	return names
}

func (e *environment) get(group, kind, namespace, name string) (object.Object, bool) {
	for _, o := range e.named[kindOf{group, kind}][name] {
		if sameNamespace(e.namespaceOf(o), namespace) {
			return o, true
		}
	}
	return object.Object{}, false
}

func (e *environment) has(group, kind, namespace, name string) bool {
	_, ok := e.get(group, kind, namespace, name)
	return ok
}

// mayBeMade reports whether a custom resource may make an object of that name, and returns the resource.
func (e *environment) mayBeMade(kind, name string) (object.Object, bool) {
	if o, ok := e.mentioned[name]; ok {
		return o, true
	}
	isConfig := kind == "Secret" || kind == "ConfigMap"
	for _, o := range e.custom {
		if strings.HasPrefix(name, o.Ref().Name+"-") && !(isConfig && isExact(o)) {
			return o, true
		}
	}
	return object.Object{}, false
}

// selected returns the workloads whose pods a selector takes.
func (e *environment) selected(namespace string, selector labels.Selector) []workload {
	requirements, selectable := selector.Requirements()
	if !selectable {
		return nil
	}
	candidates := e.workloads
	if label := demanded(requirements); label != "" {
		candidates = e.labelled[label]
	}
	var found []workload
	for _, w := range candidates {
		if fulfils(w, requirements) && sameNamespace(e.namespaceOf(w.Object), namespace) {
			found = append(found, w)
		}
	}
	return found
}

// covering returns the objects of a kind whose selector takes a workload's pods.
func (e *environment) covering(w workload, group, kind string) []object.Object {
	selectors := e.selecting[kindOf{group, kind}]
	candidates := slices.Clone(selectors[""])
	for k, v := range w.set {
		candidates = append(candidates, selectors[k+"="+v]...)
	}
	slices.SortFunc(candidates, func(a, b selecting) int { return a.at - b.at })
	var found []object.Object
	namespace := e.namespaceOf(w.Object)
	for _, s := range candidates {
		if s.selectable && fulfils(w, s.requirements) && sameNamespace(e.namespaceOf(s.Object), namespace) {
			found = append(found, s.Object)
		}
	}
	return found
}

// owner is the other environment whose namespace it is; empty where there is none.
func (e *environment) owner(namespace string) string {
	if namespace == e.Namespace || namespace == "" {
		return ""
	}
	for _, other := range e.all {
		if other.Name != e.Name && other.Namespace == namespace {
			return other.Name
		}
	}
	return ""
}

func labelSet(m map[string]any) labels.Set {
	out := labels.Set{}
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// selectorOf reads matchLabels and matchExpressions. A missing or broken selector selects nothing.
func selectorOf(v any) labels.Selector {
	m, _ := v.(map[string]any)
	if m == nil {
		return labels.Nothing()
	}
	var l metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &l) != nil {
		return labels.Nothing()
	}
	selector, err := metav1.LabelSelectorAsSelector(&l)
	if err != nil {
		return labels.Nothing()
	}
	return selector
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// number is a whole number as YAML gives it.
func number(v any) (int, bool) {
	switch v := v.(type) {
	case int64:
		return int(v), true
	case float64:
		return int(v), v == float64(int(v))
	}
	return 0, false
}

// once tells the first of several from the others.
type once map[string]bool

func (o once) first(parts ...string) bool {
	key := strings.Join(parts, "\x00")
	seen := o[key]
	o[key] = true
	return !seen
}
