package kustomize

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/filters/annotations"
	"sigs.k8s.io/kustomize/api/filters/labels"
	"sigs.k8s.io/kustomize/api/filters/namespace"
	"sigs.k8s.io/kustomize/api/filters/prefix"
	"sigs.k8s.io/kustomize/api/filters/replicacount"
	"sigs.k8s.io/kustomize/api/filters/suffix"
	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/utils"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

const validatedBy = konfig.ValidatedByLabelKey

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// spec is a field with its split path.
type spec struct {
	types.FieldSpec
	path []string
}

// chosen returns the fields of a list that apply to a resource.
func chosen(all types.FsSlice) func(*resource.Resource) []spec {
	type kind struct{ apiVersion, kind string }
	known := map[kind][]spec{}
	return func(r *resource.Resource) []spec {
		k := kind{r.GetApiVersion(), r.GetKind()}
		list, ok := known[k]
		if !ok {
			gvk := r.GetGvk()
			for _, f := range all {
				if gvk.IsSelected(&f.Gvk) {
					list = append(list, spec{f, utils.PathSplitter(f.Path, "/")})
				}
			}
			known[k] = list
		}
		return list
	}
}

// mark sets pairs at the fields of a list, in all resources. The library's filter takes over where a field
// has a form that needs care.
func mark(pairs map[string]string, all types.FsSlice,
	filter func(map[string]string, types.FsSlice) kio.Filter) change {
	chosen, keys, styles := chosen(all), sortedKeys(pairs), map[string]yaml.Style{}
	for _, k := range keys {
		styles[k] = styleOf(pairs[k])
	}
	return func(m *resources) error {
		for _, r := range m.list {
			for _, k := range keys {
				f := fields{kind: yaml.MappingNode, tag: kyaml.NodeTagMap, do: func(n *yaml.Node) bool {
					return put(n, k, pairs[k], styles[k])
				}}
				for _, spec := range chosen(r) {
					if f.create = spec.CreateIfNotPresent; f.at(r.YNode(), spec.path) {
						continue
					}
					one := filter(map[string]string{k: pairs[k]}, types.FsSlice{spec.FieldSpec})
					if err := apply(m, r, one); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
}

func addLabels(pairs map[string]string, all types.FsSlice) change {
	return mark(pairs, all, func(pairs map[string]string, fs types.FsSlice) kio.Filter {
		return labels.Filter{Labels: pairs, FsSlice: fs}
	})
}

func addAnnotations(pairs map[string]string, all types.FsSlice) change {
	return mark(pairs, all, func(pairs map[string]string, fs types.FsSlice) kio.Filter {
		return annotations.Filter{Annotations: pairs, FsSlice: fs}
	})
}

// setNamespace moves all resources to a namespace.
func setNamespace(f namespace.Filter) change {
	chosen := chosen(f.FsSlice)
	return func(m *resources) error {
		if f.Namespace == "" {
			return nil
		}
		m.index = nil
		for _, r := range m.list {
			generated := r.GetAnnotations(konfig.HelmGeneratedAnnotation)[konfig.HelmGeneratedAnnotation] == "true"
			if r.IsNilOrEmpty() || generated {
				continue
			}
			remember(r)
			more, kind := chosen(r), r.GetKind()
			if len(more) == 0 && kind != "RoleBinding" && kind != "ClusterRoleBinding" && !f.UnsetOnly {
				if r.GetGvk().IsClusterScoped() || put(child(r.YNode(), "metadata"), "namespace", f.Namespace, 0) {
					continue
				}
			}
			if err := apply(m, r, f); err != nil {
				return err
			}
		}
		return m.checkUnique()
	}
}

// isNameless reports whether a resource gets neither a prefix nor a suffix.
func isNameless(id resid.ResId) bool {
	return id.Kind == "CustomResourceDefinition" || id.Kind == "Namespace" ||
		id.Kind == "APIService" && id.Group == "apiregistration.k8s.io"
}

func addPrefix(text string, all types.FsSlice) change {
	return rename(all, "prefixes", text, func(name string) string { return text + name },
		func(fs types.FieldSpec) kio.Filter { return prefix.Filter{Prefix: text, FieldSpec: fs} })
}

func addSuffix(text string, all types.FsSlice) change {
	return rename(all, "suffixes", text, func(name string) string { return name + text },
		func(fs types.FieldSpec) kio.Filter { return suffix.Filter{Suffix: text, FieldSpec: fs} })
}

func rename(all types.FsSlice, what, text string, fast func(string) string,
	slow func(types.FieldSpec) kio.Filter) change {
	return func(m *resources) error {
		m.index = nil
		for _, r := range m.list {
			id := r.OrgId()
			if isNameless(id) {
				continue
			}
			for _, fs := range all {
				if !id.IsSelected(&fs.Gvk) {
					continue
				}
				if fs.Path == "metadata/name" {
					note(r, what, text)
					if text != "" {
						remember(r)
					}
					n := mapped(mapped(r.YNode(), "metadata"), "name")
					if n != nil && n.Kind == yaml.ScalarNode && n.Tag != kyaml.NodeTagNull {
						*n = yaml.Node{Kind: yaml.ScalarNode, Value: fast(n.Value), Style: n.Style}
						continue
					}
				}
				if err := apply(m, r, slow(fs)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// setReplicas sets the number of replicas of the resources that have or had a name.
func setReplicas(replica types.Replica, all types.FsSlice) change {
	return func(m *resources) error {
		found := false
		for _, r := range m.list {
			ids := ids(r)
			for _, fs := range all {
				if !slices.ContainsFunc(ids, func(id resid.ResId) bool {
					return id.Name == replica.Name && id.IsSelected(&fs.Gvk)
				}) {
					continue
				}
				found = true
				if err := apply(m, r, replicacount.Filter{Replica: replica, FieldSpec: fs}); err != nil {
					return err
				}
			}
		}
		if !found {
			return fmt.Errorf("nothing that has replicas is named %s", replica.Name)
		}
		return nil
	}
}

// addHashes appends a hash of their content to the names of generated resources.
func addHashes(m *resources) error {
	hasher := &hasher.Hasher{}
	m.index = nil
	for _, r := range m.list {
		if !r.NeedHashSuffix() {
			continue
		}
		h, err := r.Hash(hasher)
		if err == nil {
			remember(r)
			err = r.SetName(r.GetName() + "-" + h)
		}
		if err != nil {
			return about(m, r)(err)
		}
	}
	return nil
}

// verbose is how the library introduces an error of a field.
var verbose = regexp.MustCompile(`^.*considering field '([^']+)' of object \S+: `)

// about returns a function that says which resource an error is about. It is called before the error can come
// up, because the library then makes an object that failed look deleted.
func about(m *resources, r *resource.Resource) func(error) error {
	ref, at := refOf(r.CurId()), m.origins[r]
	return func(err error) error {
		if err == nil || hasPlace(err) {
			return err
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		text = verbose.ReplaceAllString(text, "$1: ")
		return fmt.Errorf("%s (%s): %s", ref, at, text)
	}
}

// apply runs one of the library's filters over one resource.
func apply(m *resources, r *resource.Resource, f kio.Filter) error {
	left, err := f.Filter([]*kyaml.RNode{&r.RNode})
	if err != nil {
		return about(m, r)(err)
	}
	if len(left) == 0 {
		r.SetYNode(nil)
	}
	return nil
}
