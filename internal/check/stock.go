package check

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// stock is what an environment brings, looked at for what refers to what.
type stock struct {
	*run
	environment
	objects []object.Object
	pods    []workload
	// whole: all that runs there seems to be in the set, so that what is not in it is not there.
	whole bool
	// mentioned are the strings in custom resources, any of which may name what a controller makes.
	mentioned map[string]bool
	custom    []string // the custom resources' names
	told      map[string]bool
}

// workload is an object that runs pods.
type workload struct {
	object.Object
	labels map[string]any
	spec   map[string]any
	path   string
	// loose: something may be put into the pods that the set does not show.
	loose bool
}

// quiet are groups of custom resources that never bring pods or Services of their own.
var quiet = []string{"cert-manager.io", "external-secrets.io", "bitnami.com", "networking.istio.io",
	"security.istio.io",
	"traefik.io", "traefik.containo.us", "keda.sh", "cilium.io", "crd.projectcalico.org", "projectcalico.org",
	"kyverno.io", "argoproj.io", "secrets-store.csi.x-k8s.io", "autoscaling.k8s.io"}

func take(r *run, env environment) *stock {
	s := &stock{run: r, environment: env, objects: env.set.Objects(), mentioned: map[string]bool{},
		told: map[string]bool{}}
	s.whole = !slices.ContainsFunc(r.Project.Environments, s.neighbour)
	for _, o := range s.objects {
		if w, ok := runs(o); ok {
			s.pods = append(s.pods, w)
			if o.Ref().Kind == "Job" { // one that makes a Secret has its name among its arguments
				for _, c := range w.containers() {
					args, _ := c.body["args"].([]any)
					for _, arg := range args {
						_, value, _ := strings.Cut(text(arg), "=")
						s.mentioned[text(arg)], s.mentioned[value] = true, true
					}
				}
			}
		}
		ref := o.Ref()
		if !strings.Contains(ref.Group, ".") || strings.HasSuffix(ref.Group, ".k8s.io") {
			continue
		}
		s.custom = append(s.custom, ref.Name)
		mention(o.Body, s.mentioned)
		monitor := ref.Group == "monitoring.coreos.com" && (strings.HasSuffix(ref.Kind, "Monitor") ||
			ref.Kind == "PrometheusRule")
		if !slices.Contains(quiet, ref.Group) && !monitor {
			s.whole = false
		}
	}
	s.whole = s.whole && len(s.pods) > 0
	return s
}

func mention(v any, into map[string]bool) {
	switch v := v.(type) {
	case string:
		into[v] = true
	case []any:
		for _, e := range v {
			mention(e, into)
		}
	case map[string]any:
		for _, e := range v {
			mention(e, into)
		}
	}
}

// runs also knows custom resources that hold a pod template where a Deployment does.
func runs(o object.Object) (workload, bool) {
	w := workload{Object: o}
	spec, path, ok := o.PodSpec()
	metadata, _, _ := o.PodMetadata()
	if !ok {
		if spec, ok = o.At("spec", "template", "spec").(map[string]any); !ok ||
			len(object.Mappings(spec["containers"])) == 0 {
			return w, false
		}
		path = "spec.template.spec"
		metadata, _ = o.At("spec", "template", "metadata").(map[string]any)
	}
	w.spec, w.path = spec, path
	w.labels, _ = metadata["labels"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, m := range []map[string]any{w.labels, annotations} {
		for k := range m {
			w.loose = w.loose || strings.Contains(k, "inject")
		}
	}
	return w, true
}

// neighbour says whether another environment of the project lives in the same place.
func (s *stock) neighbour(e project.Environment) bool {
	place := func(e project.Environment) string {
		if e.Context == "" {
			return e.Name
		}
		return e.Context
	}
	return e.Name != s.Name && place(e) == place(s.Environment) && (e.Namespace == s.Namespace ||
		e.Namespace == "" || s.Namespace == "")
}

// tell notes a finding. What is not sure is a warning.
func (s *stock) tell(rule finding.Rule, sure bool, o object.Object, field, fix, format string, args ...any) {
	if !rule.Holds(s.Class) {
		return
	}
	f := rule.New(o, field, "%s", fmt.Sprintf(format, args...))
	f.Fix = fix
	if !sure {
		f.Severity = finding.Warning
	}
	s.find(f)
}

// once is true the first time.
func (s *stock) once(parts ...string) bool {
	key := strings.Join(parts, "\x00")
	first := !s.told[key]
	s.told[key] = true
	return first
}

// namespace is where an object ends up; empty where nobody says.
func (s *stock) namespace(o object.Object) string {
	if n := o.Ref().Namespace; n != "" {
		return n
	}
	return s.Namespace
}

func (s *stock) together(a, b string) bool { return a == "" || b == "" || a == b }

// all are the objects of a kind that share a namespace.
func (s *stock) all(group, kind, namespace string) []object.Object {
	var found []object.Object
	for _, o := range s.objects {
		if r := o.Ref(); r.Group == group && r.Kind == kind && s.together(s.namespace(o), namespace) {
			found = append(found, o)
		}
	}
	return found
}

func (s *stock) get(group, kind, namespace, name string) (object.Object, bool) {
	for _, o := range s.all(group, kind, namespace) {
		if o.Ref().Name == name {
			return o, true
		}
	}
	return object.Object{}, false
}

// made says whether a custom resource may make what is called so.
func (s *stock) made(name string) bool {
	return s.mentioned[name] || slices.ContainsFunc(s.custom, func(c string) bool {
		return strings.HasPrefix(name, c+"-")
	})
}

// selected are the workloads whose pods a selector takes: a Service's, or another kind's.
func (s *stock) selected(namespace string, selector labels.Selector) []workload {
	var found []workload
	for _, w := range s.pods {
		if s.together(s.namespace(w.Object), namespace) && selector.Matches(words(w.labels)) {
			found = append(found, w)
		}
	}
	return found
}

func words(m map[string]any) labels.Set {
	out := labels.Set{}
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// selectorOf reads matchLabels and matchExpressions; what cannot be read, and what is not there,
// selects nothing.
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

// container is one of a pod's, with its path.
type container struct {
	body map[string]any
	path string
	name string
	// stays: it runs as long as the pod.
	stays bool
}

func (w workload) containers() []container {
	var out []container
	for _, c := range object.Containers(w.spec, w.path) {
		out = append(out, container{c.Body, c.Path, text(c.Body["name"]), c.List == "containers" ||
			c.Body["restartPolicy"] == "Always"})
	}
	return out
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
