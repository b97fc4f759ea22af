package kustomize

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/filters/annotations"
	"sigs.k8s.io/kustomize/api/filters/imagetag"
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
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

const validatedBy = konfig.ValidatedByLabelKey

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// filterAll runs one of the library's filters over each resource. It must not change names.
func filterAll(f kio.Filter) change {
	return func(m *resources) error {
		for _, r := range m.list {
			if m.isBystander(r) {
				continue
			}
			if err := apply(m, r, f); err != nil {
				return err
			}
		}
		return nil
	}
}

func addLabels(pairs map[string]string, fields types.FsSlice) change {
	return filterAll(labels.Filter{Labels: pairs, FsSlice: fields})
}

func addAnnotations(pairs map[string]string, fields types.FsSlice) change {
	return filterAll(annotations.Filter{Annotations: pairs, FsSlice: fields})
}

// setImage sets the name, tag or digest of an image.
func setImage(at entry, image types.Image, fields types.FsSlice) change {
	steps := []change{
		filterAll(imagetag.LegacyFilter{ImageTag: image}),
		filterAll(imagetag.Filter{ImageTag: image, FsSlice: fields}),
	}
	return func(m *resources) error {
		found := m.withImage(image, fields)
		m.mark(found.list...)
		before := found.imagesOf(fields)
		for _, step := range steps {
			if err := step(found); err != nil {
				return err
			}
		}
		m.losses = append(m.losses, mergedTags(at, before, found.imagesOf(fields))...)
		for _, r := range found.list {
			m.images[r] = uses(r, fields)
		}
		m.imagesKnown = true
		return nil
	}
}

// setNamespace moves all resources to a namespace. The library's transformer compares each with all others.
func setNamespace(f namespace.Filter) change {
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
			r.StorePreviousId()
			if err := apply(m, r, f); err != nil {
				return err
			}
		}
		return m.checkUnique()
	}
}

func addPrefix(text string, fields types.FsSlice) change {
	return rename(fields, text, (*resource.Resource).AddNamePrefix, func(fs types.FieldSpec) kio.Filter {
		return prefix.Filter{Prefix: text, FieldSpec: fs}
	})
}

func addSuffix(text string, fields types.FsSlice) change {
	return rename(fields, text, (*resource.Resource).AddNameSuffix, func(fs types.FieldSpec) kio.Filter {
		return suffix.Filter{Suffix: text, FieldSpec: fs}
	})
}

func rename(fields types.FsSlice, text string, note func(*resource.Resource, string),
	filter func(types.FieldSpec) kio.Filter) change {
	return func(m *resources) error {
		m.index = nil
		for _, r := range m.list {
			id := r.OrgId()
			if id.Kind == "CustomResourceDefinition" || id.Kind == "Namespace" ||
				id.Kind == "APIService" && id.Group == "apiregistration.k8s.io" {
				continue
			}
			for _, fs := range fields {
				if !id.IsSelected(&fs.Gvk) {
					continue
				}
				if fs.Path == "metadata/name" {
					note(r, text)
					if text != "" {
						r.StorePreviousId()
					}
				}
				if err := apply(m, r, filter(fs)); err != nil {
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
				m.mark(r)
				if m.isBystander(r) {
					continue
				}
				if err := apply(m, r, replicacount.Filter{Replica: replica, FieldSpec: fs}); err != nil {
					return err
				}
			}
		}
		if !found {
			return fmt.Errorf("no object with replicas is named %s", replica.Name)
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
			r.StorePreviousId()
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
