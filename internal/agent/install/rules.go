package install

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

const rbacGroup = "rbac.authorization.k8s.io"

// rule is one rule of a Role.
type rule struct {
	group, resource string
	names           []string
	verbs           []string
}

// full are the verbs on the objects that a deploy applies: plan reads and lists, a dry run and an apply
// create and patch, a field of another tool is taken over by update, a rollout watches.
var full = []string{"create", "delete", "get", "list", "patch", "update", "watch"}

// record is what locks, claims and records take, in the namespace of an environment.
var record = []rule{
	{"", "secrets", nil, []string{"create", "delete", "get", "list", "update"}},
	{"coordination.k8s.io", "leases", nil, []string{"create", "get", "update"}},
}

// watching is what a rollout reads besides the objects: the pods and what is between them and their
// workload, the log of one that fails, events, claims and quotas. A pod of a StatefulSet that cannot recover
// is deleted. The agent's own decisions are events too.
var watching = []rule{
	{"", "pods", nil, []string{"delete", "get", "list", "watch"}},
	{"", "pods/log", nil, []string{"get"}},
	{"", "events", nil, []string{"list"}},
	{"", "persistentvolumeclaims", nil, []string{"get", "list"}},
	{"", "resourcequotas", nil, []string{"list"}},
	{"apps", "controllerrevisions", nil, []string{"list"}},
	{"apps", "replicasets", nil, []string{"get", "list", "watch"}},
	{"batch", "jobs", nil, []string{"get", "list", "watch"}},
	{"events.k8s.io", "events", nil, []string{"create", "patch"}},
}

// rules collects the permissions of an agent.
type rules struct {
	options Options
	in      map[string][]rule // by namespace; "": of the whole cluster
	preview []rule            // in the namespace of a preview
	// prefixes are what the namespaces of previews begin with.
	prefixes []string
	notes    []string
}

func newRules(o Options) *rules { return &rules{options: o, in: map[string][]rule{}} }

// add adds what deploys of a set need whose records are in a namespace.
func (r *rules) add(namespace string, set object.Set) {
	r.in[namespace] = append(r.in[namespace], record...)
	definitions := definitionsOf(set)
	for _, o := range set.Objects() {
		ref := o.Ref()
		gvk := schema.FromAPIVersionAndKind(o.APIVersion(), ref.Kind)
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		resource, namespaced := plural.Resource, true
		scoped, known := openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: o.APIVersion(), Kind: ref.Kind})
		switch d, ok := definitions[gvk.GroupKind()]; {
		case ok:
			resource, namespaced = d.plural, d.namespaced
		case known:
			namespaced = scoped
		case strings.Contains(gvk.Group, ".") && !strings.HasSuffix(gvk.Group, ".k8s.io"):
			r.note("the resource of " + gvk.GroupKind().String() + " is taken to be " + resource +
				", in a namespace: no definition of it is in the manifests")
		}
		at := cmp.Or(ref.Namespace, namespace)
		if !namespaced {
			r.in[""] = append(r.in[""], rule{gvk.Group, resource, []string{ref.Name}, full})
			r.note("the agent needs ClusterRole " + r.clusterName() + " for " + ref.String())
			r.grant("", o)
			continue
		}
		r.in[at] = append(r.in[at], rule{gvk.Group, resource, nil, full})
		r.in[at] = append(r.in[at], watching...)
		if ref.IsProgressive() && ref.Kind == "Rollout" { // a rollback skips its analysis
			r.in[at] = append(r.in[at], rule{gvk.Group, resource + "/status", nil, []string{"patch"}})
		}
		r.grant(at, o)
	}
}

// grant adds the verbs escalate and bind for roles and bindings of the source: the API server otherwise
// refuses to let the agent grant permissions that it does not have itself.
func (r *rules) grant(namespace string, o object.Object) {
	if o.Ref().Group != rbacGroup {
		return
	}
	resources := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}
	if resource := resources[o.Ref().Kind]; resource != "" {
		r.in[namespace] = append(r.in[namespace], rule{rbacGroup, resource, []string{o.Ref().Name},
			[]string{"escalate"}})
		return
	}
	kind, _ := o.At("roleRef", "kind").(string)
	name, _ := o.At("roleRef", "name").(string)
	r.in[namespace] = append(r.in[namespace], rule{rbacGroup, resources[kind], []string{name}, []string{"bind"}})
}

func (r *rules) note(text string) {
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// clusterName is that of the ClusterRole: two agents of a cluster have two.
func (r *rules) clusterName() string { return r.options.Namespace + "-" + r.options.Name }

// definition is what a CustomResourceDefinition of the manifests says about its kind.
type definition struct {
	plural     string
	namespaced bool
}

func definitionsOf(set object.Set) map[schema.GroupKind]definition {
	found := map[schema.GroupKind]definition{}
	for _, o := range set.Objects() {
		if o.Ref().Kind != "CustomResourceDefinition" {
			continue
		}
		group, _ := o.At("spec", "group").(string)
		kind, _ := o.At("spec", "names", "kind").(string)
		plural, _ := o.At("spec", "names", "plural").(string)
		found[schema.GroupKind{Group: group, Kind: kind}] = definition{plural, o.At("spec", "scope") != "Cluster"}
	}
	return found
}

// objects are a Role and a RoleBinding for each namespace, and a ClusterRole where the cluster itself has
// rules.
func (r *rules) objects() []object.Object {
	var all []object.Object
	for _, namespace := range slices.Sorted(maps.Keys(r.in)) {
		kind, name := "Role", r.options.Name
		if namespace == "" {
			kind, name = "ClusterRole", r.clusterName()
		}
		metadata := map[string]any{"name": name}
		if namespace != "" {
			metadata["namespace"] = namespace
		}
		role := map[string]any{
			"apiVersion": rbacGroup + "/v1", "kind": kind, "metadata": metadata, "rules": compact(r.in[namespace]),
		}
		binding := map[string]any{
			"apiVersion": rbacGroup + "/v1", "kind": kind + "Binding", "metadata": metadata,
			"roleRef": map[string]any{"apiGroup": rbacGroup, "kind": kind, "name": name},
			"subjects": []any{map[string]any{
				"kind": "ServiceAccount", "name": r.options.Name, "namespace": r.options.Namespace,
			}},
		}
		all = append(all, object.Object{Body: role}, object.Object{Body: binding})
	}
	if len(r.prefixes) > 0 {
		all = append(all, r.previewObjects()...)
	}
	return all
}

// compact joins the rules of one resource and the same names, and resources of one group with the same verbs.
func compact(all []rule) []any {
	type key struct{ group, resource, names string }
	verbs := map[key][]string{}
	for _, r := range all {
		k := key{r.group, r.resource, strings.Join(r.names, " ")}
		verbs[k] = append(verbs[k], r.verbs...)
	}
	type shared struct{ group, names, verbs string }
	resources := map[shared][]string{}
	for k, v := range verbs {
		slices.Sort(v)
		s := shared{k.group, k.names, strings.Join(slices.Compact(v), " ")}
		resources[s] = append(resources[s], k.resource)
	}
	keys := slices.SortedFunc(maps.Keys(resources), func(a, b shared) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(slices.Min(resources[a]),
			slices.Min(resources[b])), cmp.Compare(a.names, b.names), cmp.Compare(a.verbs, b.verbs))
	})
	var out []any
	for _, k := range keys {
		slices.Sort(resources[k])
		rule := map[string]any{
			"apiGroups": []any{k.group}, "resources": list(resources[k]), "verbs": list(strings.Fields(k.verbs)),
		}
		if k.names != "" {
			rule["resourceNames"] = list(strings.Fields(k.names))
		}
		out = append(out, rule)
	}
	return out
}

func list(texts []string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = text
	}
	return out
}
