//lint:file-ignore SA1019 what Kustomize deprecates is built as long as Kustomize builds it

package kustomize

import (
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/filters/namespace"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// step is a transformation at its place.
type step struct {
	at  entry
	by  *resource.Origin // nil unless the overlay asks for buildMetadata
	run change
}

// transform does what the kustomization's fields say, in the library's order, then its transformers.
func transform(l *layer, m *resources) error {
	steps, err := fieldSteps(l, m.specs)
	if err != nil {
		return err
	}
	custom, err := customSteps(l, l.Transformers, "transformers")
	if err != nil {
		return err
	}
	m.images = nil
	for _, s := range append(steps, custom...) {
		if err := l.view.Context().Err(); err != nil {
			return err
		}
		m.losses, m.chosen, m.imagesKnown = nil, nil, false
		if err := s.run(m); err != nil {
			return s.at.fail(err)
		}
		if !m.imagesKnown {
			m.images = nil
		}
		l.losses = append(l.losses, m.losses...)
		l.selections = append(append(l.selections, m.chosen...), m.selection(s.at))
		m.list = slices.DeleteFunc(m.list, func(r *resource.Resource) bool { return r.IsNilOrEmpty() })
		if s.by == nil {
			continue
		}
		for _, r := range m.list {
			if err := noteTransformation(r, s.by); err != nil {
				return s.at.fail(err)
			}
		}
	}
	return nil
}

func noteTransformation(r *resource.Resource, by *resource.Origin) error {
	have, err := r.GetOrigin()
	if err != nil {
		return err
	}
	if have == nil {
		return r.SetOrigin(by)
	}
	return r.AddTransformation(by)
}

// fieldSteps makes the steps of the fields, up to the first error.
func fieldSteps(l *layer, c *specs) ([]step, error) {
	replacements := slices.Collect(slices.Chunk(l.Replacements, 1))
	if l.origin != nil && len(l.Replacements) > 0 { // one note for all
		replacements = [][]types.ReplacementField{l.Replacements}
	}
	marks := len(l.Labels)+len(l.CommonLabels) > 0
	var all []step
	for _, part := range []func() ([]step, error){
		func() ([]step, error) { return strategicMerges(l) },
		each(l, "PatchTransformer", l.Patches, patchChange, "patches"),
		when(l, "NamespaceTransformer", "namespace", l.Namespace != "",
			markAll(setNamespace(namespace.Filter{Namespace: l.Namespace, FsSlice: c.NameSpace}))),
		when(l, "PrefixTransformer", "namePrefix", l.NamePrefix != "",
			markAll(addPrefix(l.NamePrefix, c.NamePrefix))),
		when(l, "SuffixTransformer", "nameSuffix", l.NameSuffix != "",
			markAll(addSuffix(l.NameSuffix, c.NameSuffix))),
		each(l, "LabelTransformer", l.Labels, func(_ *layer, _ entry, label types.Label) (change, error) {
			fs, err := labelFields(label, c)
			return markAll(addLabels(label.Pairs, fs)), err
		}, "labels"),
		when(l, "LabelTransformer", "commonLabels", marks, markAll(addLabels(l.CommonLabels, c.CommonLabels))),
		when(l, "AnnotationsTransformer", "commonAnnotations", len(l.CommonAnnotations) > 0,
			markAll(addAnnotations(l.CommonAnnotations, c.CommonAnnotations))),
		each(l, "PatchJson6902Transformer", l.PatchesJson6902, jsonPatchChange, "patchesJson6902"),
		each(l, "ReplicaCountTransformer", l.Replicas, func(_ *layer, _ entry, r types.Replica) (change, error) {
			return setReplicas(r, c.Replicas), nil
		}, "replicas"),
		each(l, "ImageTagTransformer", l.Images, func(_ *layer, at entry, image types.Image) (change, error) {
			return setImage(at, image, c.Images), nil
		}, "images", "imageTags"),
		each(l, "ReplacementTransformer", replacements, replacementChange, "replacements"),
	} {
		steps, err := part()
		if err != nil {
			return nil, err
		}
		all = append(all, steps...)
	}
	return all, nil
}

// when makes the step of a field that is set.
func when(l *layer, kind, field string, set bool, run change) func() ([]step, error) {
	return func() ([]step, error) {
		if !set {
			return nil, nil
		}
		return []step{{l.fieldEntry(field), l.builtin(kind), run}}, nil
	}
}

// each makes a step for each item of a list in the given fields.
func each[T any](l *layer, kind string, list []T, plan func(*layer, entry, T) (change, error),
	fields ...string) func() ([]step, error) {
	return func() ([]step, error) {
		var steps []step
		at := l.entries(len(list), fields...)
		for i, x := range list {
			run, err := plan(l, at[i], x)
			if err != nil {
				return nil, at[i].fail(err)
			}
			steps = append(steps, step{at[i], l.builtin(kind), run})
		}
		return steps, nil
	}
}

// labelFields are the fields that an entry of labels sets.
func labelFields(label types.Label, c *specs) (types.FsSlice, error) {
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

func replacementChange(l *layer, at entry, list []types.ReplacementField) (change, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(r types.ReplacementField) bool {
		rel := path.Join(l.dir, r.Path)
		if r.Path == "" || !l.view.IsEmptied(rel) {
			return false
		}
		_, err := l.view.File(rel) // notes the read
		return err == nil
	})
	text, err := yaml.Marshal(map[string]any{"replacements": list})
	if err != nil {
		return nil, err
	}
	r := builtins.NewReplacementTransformerPlugin()
	return func(m *resources) error { return r.Transform(m) }, r.Config(l.helpers(at), text)
}
