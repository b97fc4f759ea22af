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

// spec is a field with its path.
type spec struct {
	types.FieldSpec
	path []string
}

// chosen gives the fields of a list that are meant for a resource.
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

// mark gives all resources labels or annotations at the fields of a list.
func (p *pile) mark(pairs map[string]string, all types.FsSlice, slow func(pairs map[string]string,
	fs types.FsSlice) kio.Filter) error {
	if len(pairs) == 0 {
		return nil
	}
	chosen, keys, styles := chosen(all), sortedKeys(pairs), map[string]yaml.Style{}
	for _, k := range keys {
		styles[k] = styleOf(pairs[k])
	}
	for _, r := range p.list {
		for _, k := range keys {
			f := fields{kind: yaml.MappingNode, tag: kyaml.NodeTagMap, do: func(n *yaml.Node) bool {
				return put(n, k, pairs[k], styles[k])
			}}
			for _, spec := range chosen(r) {
				if f.create = spec.CreateIfNotPresent; f.at(r.YNode(), spec.path) {
					continue
				}
				if err := p.apply(r, slow(map[string]string{k: pairs[k]}, types.FsSlice{spec.FieldSpec})); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *pile) label(pairs map[string]string, all types.FsSlice) error {
	return p.mark(pairs, all, func(pairs map[string]string, fs types.FsSlice) kio.Filter {
		return labels.Filter{Labels: pairs, FsSlice: fs}
	})
}

func (p *pile) annotate(pairs map[string]string, all types.FsSlice) error {
	return p.mark(pairs, all, func(pairs map[string]string, fs types.FsSlice) kio.Filter {
		return annotations.Filter{Annotations: pairs, FsSlice: fs}
	})
}

// setNamespace moves everything into a namespace.
func (p *pile) setNamespace(f namespace.Filter) error {
	if f.Namespace == "" {
		return nil
	}
	chosen := chosen(f.FsSlice)
	p.index = nil
	for _, r := range p.list {
		if r.IsNilOrEmpty() || r.GetAnnotations(
			konfig.HelmGeneratedAnnotation)[konfig.HelmGeneratedAnnotation] == "true" {
			continue
		}
		remember(r)
		more, kind := chosen(r), r.GetKind()
		if len(more) == 0 && kind != "RoleBinding" && kind != "ClusterRoleBinding" && !f.UnsetOnly {
			if r.GetGvk().IsClusterScoped() || put(child(r.YNode(), "metadata"), "namespace", f.Namespace, 0) {
				continue
			}
		}
		if err := p.apply(r, f); err != nil {
			return err
		}
	}
	return p.unique()
}

// nameless are the kinds that neither get a prefix nor a suffix.
func nameless(id resid.ResId) bool {
	return id.Kind == "CustomResourceDefinition" || id.Kind == "Namespace" || id.Kind == "APIService" &&
		id.Group == "apiregistration.k8s.io"
}

func (p *pile) prefix(text string, all types.FsSlice) error {
	return p.rename(all, "prefixes", text, func(name string) string {
		return text + name
	}, func(fs types.FieldSpec) kio.Filter {
		return prefix.Filter{Prefix: text, FieldSpec: fs}
	})
}

func (p *pile) suffix(text string, all types.FsSlice) error {
	return p.rename(all, "suffixes", text, func(name string) string {
		return name + text
	}, func(fs types.FieldSpec) kio.Filter {
		return suffix.Filter{Suffix: text, FieldSpec: fs}
	})
}

func (p *pile) rename(all types.FsSlice, what, text string, fast func(string) string,
	slow func(types.FieldSpec) kio.Filter) error {
	p.index = nil
	for _, r := range p.list {
		id := r.OrgId()
		if nameless(id) {
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
				if n := mapped(mapped(r.YNode(), "metadata"), "name"); n != nil && n.Kind == yaml.ScalarNode &&
					n.Tag != kyaml.NodeTagNull {
					*n = yaml.Node{Kind: yaml.ScalarNode, Value: fast(n.Value), Style: n.Style}
					continue
				}
			}
			if err := p.apply(r, slow(fs)); err != nil {
				return err
			}
		}
	}
	return nil
}

// scale sets the number of replicas of what has, or had, a name.
func (p *pile) scale(replica types.Replica, all types.FsSlice) error {
	found := false
	for _, r := range p.list {
		ids := append(r.PrevIds(), r.CurId())
		for _, fs := range all {
			if !slices.ContainsFunc(ids, func(id resid.ResId) bool {
				return id.Name == replica.Name && id.IsSelected(&fs.Gvk)
			}) {
				continue
			}
			found = true
			if err := p.apply(r, replicacount.Filter{Replica: replica, FieldSpec: fs}); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("nothing that has replicas is named %s", replica.Name)
	}
	return nil
}

// hash puts a hash of its content to the name of what was generated.
func (p *pile) hash() error {
	hasher := &hasher.Hasher{}
	p.index = nil
	for _, r := range p.list {
		if !r.NeedHashSuffix() {
			continue
		}
		h, err := r.Hash(hasher)
		if err != nil {
			return p.about(r)(err)
		}
		remember(r)
		if err := r.SetName(r.GetName() + "-" + h); err != nil {
			return p.about(r)(err)
		}
	}
	return nil
}

// verbose is how the library leads up to what is wrong with a field.
var verbose = regexp.MustCompile(`^.*considering field '([^']+)' of object \S+: `)

// about says which resource an error is about. It is called before the error can come up: the library
// takes what failed for what was deleted.
func (p *pile) about(r *resource.Resource) func(error) error {
	ref, at := refOf(r), p.origins[r]
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
func (p *pile) apply(r *resource.Resource, f kio.Filter) error {
	left, err := f.Filter([]*kyaml.RNode{&r.RNode})
	if err != nil {
		return p.about(r)(err)
	}
	if len(left) == 0 {
		r.SetYNode(nil)
	}
	return nil
}
