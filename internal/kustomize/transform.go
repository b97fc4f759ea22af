package kustomize

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/filters/annotations"
	"sigs.k8s.io/kustomize/api/filters/labels"
	"sigs.k8s.io/kustomize/api/filters/namespace"
	"sigs.k8s.io/kustomize/api/filters/prefix"
	"sigs.k8s.io/kustomize/api/filters/replicacount"
	"sigs.k8s.io/kustomize/api/filters/suffix"
	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/utils"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	jsonYAML "sigs.k8s.io/yaml"

	"slipway/internal/object"
)

const validatedBy = konfig.ValidatedByLabelKey

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// step is one transformation.
type step struct {
	at  object.Origin
	by  *resource.Origin // nil unless asked for
	run func(*pile) error
}

// transform does what the kustomization's fields say, in the library's order, then its transformers.
func (l *layer) transform(p *pile) error {
	steps, err := l.steps(p.specs)
	if err != nil {
		return err
	}
	custom, err := l.custom(l.k.Transformers, "transformers")
	if err != nil {
		return err
	}
	for _, s := range append(steps, custom...) {
		if err := s.run(p); err != nil {
			return located(s.at, err)
		}
		for _, r := range p.list {
			if s.by == nil {
				break
			}
			if err := transformed(r, s.by); err != nil {
				return located(s.at, err)
			}
		}
		p.dropEmpty()
	}
	return nil
}

// transformed notes a transformation at a resource, for those who asked by buildMetadata.
func transformed(r *resource.Resource, by *resource.Origin) error {
	have, err := r.GetOrigin()
	if err != nil {
		return err
	}
	if have == nil {
		return r.SetOrigin(by)
	}
	return r.AddTransformation(by)
}

// plan collects the steps of a layer.
type plan struct {
	*layer
	steps []step
}

// add puts a step behind the others. What an entry says is read when the step is made.
func (s *plan) add(kind string, e entry, err error, run func(*pile) error) error {
	if err != nil || s.failed != nil {
		return s.fail(e, err)
	}
	named := func(p *pile) error {
		if err := run(p); err != nil && !hasPlace(err) {
			return fmt.Errorf("%s: %w", e.field, err)
		} else {
			return err
		}
	}
	s.steps = append(s.steps, step{s.at(e), s.builtin(kind), named})
	return nil
}

func (l *layer) steps(c *specs) ([]step, error) {
	s := &plan{layer: l}
	k := &l.k
	for _, part := range []func() error{
		s.strategic, s.patches,
		func() error {
			return s.when(k.Namespace != "", "NamespaceTransformer", "namespace", func(p *pile) error {
				return p.setNamespace(namespace.Filter{Namespace: k.Namespace, FsSlice: c.NameSpace})
			})
		},
		func() error {
			return s.when(k.NamePrefix != "", "PrefixTransformer", "namePrefix", func(p *pile) error { return p.prefix(k.NamePrefix, c.NamePrefix) })
		},
		func() error {
			return s.when(k.NameSuffix != "", "SuffixTransformer", "nameSuffix", func(p *pile) error { return p.suffix(k.NameSuffix, c.NameSuffix) })
		},
		func() error { return s.labels(c) },
		func() error {
			return s.when(len(k.CommonAnnotations) > 0, "AnnotationsTransformer", "commonAnnotations", func(p *pile) error {
				return p.annotate(k.CommonAnnotations, c.CommonAnnotations)
			})
		},
		s.json, func() error { return s.replicas(c) }, func() error { return s.images(c) }, s.replacements,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return s.steps, nil
}

func (s *plan) when(asked bool, kind, field string, run func(*pile) error) error {
	if !asked {
		return nil
	}
	return s.add(kind, s.field(field), nil, run)
}

func (s *plan) labels(c *specs) error {
	at := s.entries("labels")
	for i, label := range s.k.Labels {
		fs, err := types.FsSlice(slices.Clone(label.FieldSpecs)).MergeAll(c.Labels)
		merge := func(more types.FsSlice) {
			if err == nil {
				fs, err = fs.MergeAll(more)
			}
		}
		if label.IncludeSelectors {
			merge(c.CommonLabels)
		} else {
			if label.IncludeTemplates {
				merge(c.TemplateLabels)
			}
			if label.IncludeVolumeClaimTemplates {
				merge(c.VolumeClaimTemplateLabels)
			}
			merge(types.FsSlice{{Path: "metadata/labels", CreateIfNotPresent: true}})
		}
		if err := s.add("LabelTransformer", at.item(i), err, func(p *pile) error { return p.label(label.Pairs, fs) }); err != nil {
			return err
		}
	}
	return s.when(len(s.k.Labels)+len(s.k.CommonLabels) > 0, "LabelTransformer", "commonLabels", func(p *pile) error {
		return p.label(s.k.CommonLabels, c.CommonLabels)
	})
}

func (s *plan) replicas(c *specs) error {
	at := s.entries("replicas")
	for i, r := range s.k.Replicas {
		if err := s.add("ReplicaCountTransformer", at.item(i), nil, func(p *pile) error { return p.scale(r, c.Replicas) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *plan) images(c *specs) error {
	at := s.entries("images", "imageTags")
	if s.origin == nil { // all in one go
		return s.when(len(s.k.Images) > 0, "ImageTagTransformer", "images", func(p *pile) error { return p.setImages(s.k.Images, c.Images) })
	}
	for i := range s.k.Images {
		if err := s.add("ImageTagTransformer", at.item(i), nil, func(p *pile) error { return p.setImages(s.k.Images[i:i+1], c.Images) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *plan) replacements() error {
	if len(s.k.Replacements) == 0 {
		return nil
	}
	text, err := jsonYAML.Marshal(map[string]any{"replacements": s.k.Replacements})
	if err != nil {
		return err
	}
	s.now = entry{field: "replacements", node: find(s.node, "replacements")}
	r := builtins.NewReplacementTransformerPlugin()
	helpers := resmap.NewPluginHelpers(s.layer, s.parts.GetFieldValidator(), resmap.NewFactory(s.parts.GetResourceFactory()), types.DisabledPluginConfig())
	return s.add("ReplacementTransformer", s.field("replacements"), r.Config(helpers, text), func(p *pile) error { return r.Transform(p) })
}

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
func (p *pile) mark(pairs map[string]string, all types.FsSlice, slow func(pairs map[string]string, fs types.FsSlice) kio.Filter) error {
	if len(pairs) == 0 {
		return nil
	}
	chosen, keys, styles := chosen(all), sortedKeys(pairs), map[string]yaml.Style{}
	for _, k := range keys {
		styles[k] = styleOf(pairs[k])
	}
	for _, r := range p.list {
		for _, k := range keys {
			f := fields{kind: yaml.MappingNode, tag: kyaml.NodeTagMap, do: func(n *yaml.Node) bool { return put(n, k, pairs[k], styles[k]) }}
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
		if r.IsNilOrEmpty() || r.GetAnnotations(konfig.HelmGeneratedAnnotation)[konfig.HelmGeneratedAnnotation] == "true" {
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
	return id.Kind == "CustomResourceDefinition" || id.Kind == "Namespace" || id.Kind == "APIService" && id.Group == "apiregistration.k8s.io"
}

func (p *pile) prefix(text string, all types.FsSlice) error {
	return p.rename(all, "prefixes", text, func(name string) string { return text + name }, func(fs types.FieldSpec) kio.Filter {
		return prefix.Filter{Prefix: text, FieldSpec: fs}
	})
}

func (p *pile) suffix(text string, all types.FsSlice) error {
	return p.rename(all, "suffixes", text, func(name string) string { return name + text }, func(fs types.FieldSpec) kio.Filter {
		return suffix.Filter{Suffix: text, FieldSpec: fs}
	})
}

func (p *pile) rename(all types.FsSlice, what, text string, fast func(string) string, slow func(types.FieldSpec) kio.Filter) error {
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
				if n := mapped(mapped(r.YNode(), "metadata"), "name"); n != nil && n.Kind == yaml.ScalarNode && n.Tag != kyaml.NodeTagNull {
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
			if !slices.ContainsFunc(ids, func(id resid.ResId) bool { return id.Name == replica.Name && id.IsSelected(&fs.Gvk) }) {
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
