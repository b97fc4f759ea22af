//lint:file-ignore SA1019 what Kustomize deprecates is built as long as it builds it

package kustomize

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/filters/namespace"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// step is one transformation.
type step struct {
	at  object.Origin
	by  *resource.Origin // nil unless asked for
	run func(*pile) error
}

// transform does what the kustomization's fields say, in the library's order, then its transformers.
func (l *layer) transform(p *pile) error {
	s := &plan{layer: l}
	s.fields(p.specs)
	if s.err != nil {
		return s.err
	}
	custom, err := l.custom(l.k.Transformers, "transformers")
	if err != nil {
		return err
	}
	for _, s := range append(s.steps, custom...) {
		if err := l.view.Context().Err(); err != nil {
			return err
		}
		if err := s.run(p); err != nil {
			return located(s.at, err)
		}
		p.dropEmpty()
		for _, r := range p.list {
			if s.by == nil {
				break
			}
			if err := transformed(r, s.by); err != nil {
				return located(s.at, err)
			}
		}
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

// plan collects the steps of a layer, up to the first error.
type plan struct {
	*layer
	steps []step
	err   error
}

type action = func(*pile) error

// add puts a step behind the others. What an entry says is read when the step is made.
func (s *plan) add(kind string, e entry, run action, err error) {
	if err != nil || s.failed != nil {
		s.err = s.fail(e, err)
	}
	if s.err != nil {
		return
	}
	s.steps = append(s.steps, step{s.at(e), s.builtin(kind), func(p *pile) error {
		err := run(p)
		if err != nil && !hasPlace(err) {
			err = fmt.Errorf("%s: %w", e.field, err)
		}
		return err
	}})
}

// when adds a step for a field that is set.
func (s *plan) when(set bool, kind, field string, run action) {
	if set && s.err == nil {
		s.add(kind, s.field(field), run, nil)
	}
}

// each adds a step for each entry of a field.
func each[T any](s *plan, kind string, list []T, at entries, plan func(T) (action, error)) {
	for i, x := range list {
		if s.err != nil {
			return
		}
		s.now = at.item(i)
		run, err := plan(x)
		s.add(kind, s.now, run, err)
	}
}

func (s *plan) fields(c *specs) {
	k := &s.k
	s.strategic()
	each(s, "PatchTransformer", k.Patches, s.entries("patches"), s.patch)
	s.when(k.Namespace != "", "NamespaceTransformer", "namespace", func(p *pile) error {
		return p.setNamespace(namespace.Filter{Namespace: k.Namespace, FsSlice: c.NameSpace})
	})
	s.when(k.NamePrefix != "", "PrefixTransformer", "namePrefix", func(p *pile) error {
		return p.prefix(k.NamePrefix, c.NamePrefix)
	})
	s.when(k.NameSuffix != "", "SuffixTransformer", "nameSuffix", func(p *pile) error {
		return p.suffix(k.NameSuffix, c.NameSuffix)
	})
	each(s, "LabelTransformer", k.Labels, s.entries("labels"), func(label types.Label) (action, error) {
		fs, err := labelled(label, c)
		return func(p *pile) error { return p.label(label.Pairs, fs) }, err
	})
	s.when(len(k.Labels)+len(k.CommonLabels) > 0, "LabelTransformer", "commonLabels", func(p *pile) error {
		return p.label(k.CommonLabels, c.CommonLabels)
	})
	s.when(len(k.CommonAnnotations) > 0, "AnnotationsTransformer", "commonAnnotations", func(p *pile) error {
		return p.annotate(k.CommonAnnotations, c.CommonAnnotations)
	})
	each(s, "PatchJson6902Transformer", k.PatchesJson6902, s.entries("patchesJson6902"), s.jsonPatch)
	each(s, "ReplicaCountTransformer", k.Replicas, s.entries("replicas"), func(r types.Replica) (action, error) {
		return func(p *pile) error { return p.scale(r, c.Replicas) }, nil
	})
	images := [][]types.Image{k.Images} // all in one go
	if s.origin != nil || len(k.Images) == 0 {
		images = slices.Collect(slices.Chunk(k.Images, 1))
	}
	each(s, "ImageTagTransformer", images, s.entries("images", "imageTags"),
		func(list []types.Image) (action, error) {
			return func(p *pile) error { return p.setImages(list, c.Images) }, nil
		})
	replacements := slices.Collect(slices.Chunk(k.Replacements, 1))
	if s.origin != nil && len(k.Replacements) > 0 { // one note for all
		replacements = [][]types.ReplacementField{k.Replacements}
	}
	each(s, "ReplacementTransformer", replacements, s.entries("replacements"), s.replace)
}

// labelled are the fields that an entry of labels goes for.
func labelled(label types.Label, c *specs) (types.FsSlice, error) {
	lists := []types.FsSlice{c.Labels}
	if label.IncludeSelectors {
		lists = append(lists, c.CommonLabels)
	} else {
		if label.IncludeTemplates {
			lists = append(lists, c.TemplateLabels)
		}
		if label.IncludeVolumeClaimTemplates {
			lists = append(lists, c.VolumeClaimTemplateLabels)
		}
		lists = append(lists, types.FsSlice{{Path: "metadata/labels", CreateIfNotPresent: true}})
	}
	fs := types.FsSlice(slices.Clone(label.FieldSpecs))
	for _, list := range lists {
		var err error
		if fs, err = fs.MergeAll(list); err != nil {
			return nil, err
		}
	}
	return fs, nil
}

func (s *plan) replace(list []types.ReplacementField) (action, error) {
	text, err := yaml.Marshal(map[string]any{"replacements": list})
	if err != nil {
		return nil, err
	}
	r := builtins.NewReplacementTransformerPlugin()
	return func(p *pile) error { return r.Transform(p) }, r.Config(s.helpers(), text)
}
