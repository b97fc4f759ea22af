//lint:file-ignore SA1019 what Kustomize deprecates is built as long as it builds it

package kustomize

import (
	"errors"

	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/filters/namespace"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// builtinPlugin makes one of the library's plugins; nil where it has none of that name.
func builtinPlugin(kind string) resmap.Configurable {
	switch kind {
	case "ConfigMapGenerator":
		return builtins.NewConfigMapGeneratorPlugin()
	case "SecretGenerator":
		return builtins.NewSecretGeneratorPlugin()
	case "IAMPolicyGenerator":
		return builtins.NewIAMPolicyGeneratorPlugin()
	case "AnnotationsTransformer":
		return builtins.NewAnnotationsTransformerPlugin()
	case "HashTransformer":
		return builtins.NewHashTransformerPlugin()
	case "ImageTagTransformer":
		return builtins.NewImageTagTransformerPlugin()
	case "LabelTransformer":
		return builtins.NewLabelTransformerPlugin()
	case "NamespaceTransformer":
		return builtins.NewNamespaceTransformerPlugin()
	case "PrefixTransformer":
		return builtins.NewPrefixTransformerPlugin()
	case "SuffixTransformer":
		return builtins.NewSuffixTransformerPlugin()
	case "PrefixSuffixTransformer":
		return &prefixSuffix{}
	case "ReplacementTransformer":
		return builtins.NewReplacementTransformerPlugin()
	case "ReplicaCountTransformer":
		return builtins.NewReplicaCountTransformerPlugin()
	case "ValueAddTransformer":
		return builtins.NewValueAddTransformerPlugin()
	case "PatchTransformer":
		return &patchPlugin{}
	case "PatchJson6902Transformer":
		return &jsonPlugin{}
	case "PatchStrategicMergeTransformer":
		return &mergePlugin{}
	}
	return nil
}

// Patches are applied by our own code, which needs no more of their plugins than what they are told.

type patchPlugin struct {
	types.Patch
}

func (p *patchPlugin) Config(_ *resmap.PluginHelpers, text []byte) error {
	return yaml.Unmarshal(text, p)
}

type jsonPlugin struct {
	Target *types.Selector `json:"target,omitempty"`
	Path   string          `json:"path,omitempty"`
	JsonOp string          `json:"jsonOp,omitempty"`
}

func (p *jsonPlugin) Config(_ *resmap.PluginHelpers, text []byte) error {
	return yaml.Unmarshal(text, p)
}

type mergePlugin struct {
	Paths   []string `json:"paths,omitempty"`
	Patches string   `json:"patches,omitempty"`
}

func (p *mergePlugin) Config(_ *resmap.PluginHelpers, text []byte) error {
	return yaml.Unmarshal(text, p)
}

// prefixSuffix is both in one.
type prefixSuffix struct {
	prefix builtins.PrefixTransformerPlugin
	suffix builtins.SuffixTransformerPlugin
}

func (p *prefixSuffix) Config(h *resmap.PluginHelpers, text []byte) error {
	if err := p.prefix.Config(h, text); err != nil {
		return err
	}
	return p.suffix.Config(h, text)
}

// custom makes steps of what transformers or validators name.
func (l *layer) custom(texts []string, field string) ([]step, error) {
	configs, err := l.pluginConfigs(texts, field)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, config := range configs.list {
		at := configs.origins[config]
		l.now = entry{plugin: at}
		by, err := resource.OriginFromCustomPlugin(config)
		var c resmap.Configurable
		if err == nil {
			c, err = l.plugin(config)
		}
		var run func(*pile) error
		if err == nil {
			run, err = l.transformer(c)
		}
		if l.failed != nil {
			err, l.failed = l.failed, nil
		}
		if err != nil {
			return nil, located(at, err)
		}
		steps = append(steps, step{at, by, run})
	}
	return steps, nil
}

// transformer is what a plugin does to a pile.
func (l *layer) transformer(c resmap.Configurable) (action, error) {
	switch c := c.(type) {
	case *builtins.AnnotationsTransformerPlugin:
		return func(p *pile) error { return p.annotate(c.Annotations, c.FieldSpecs) }, nil
	case *builtins.HashTransformerPlugin:
		return (*pile).hash, nil
	case *builtins.ImageTagTransformerPlugin:
		return func(p *pile) error { return p.setImages([]types.Image{c.ImageTag}, c.FieldSpecs) }, nil
	case *builtins.LabelTransformerPlugin:
		return func(p *pile) error { return p.label(c.Labels, c.FieldSpecs) }, nil
	case *builtins.NamespaceTransformerPlugin:
		f := namespace.Filter{Namespace: c.Namespace, FsSlice: c.FieldSpecs, UnsetOnly: c.UnsetOnly,
			SetRoleBindingSubjects: c.SetRoleBindingSubjects}
		return func(p *pile) error { return p.setNamespace(f) }, nil
	case *builtins.PrefixTransformerPlugin:
		return func(p *pile) error { return p.prefix(c.Prefix, c.FieldSpecs) }, nil
	case *builtins.SuffixTransformerPlugin:
		return func(p *pile) error { return p.suffix(c.Suffix, c.FieldSpecs) }, nil
	case *prefixSuffix:
		return func(p *pile) error {
			if err := p.prefix(c.prefix.Prefix, c.prefix.FieldSpecs); err != nil {
				return err
			}
			return p.suffix(c.suffix.Suffix, c.suffix.FieldSpecs)
		}, nil
	case *builtins.ReplicaCountTransformerPlugin:
		return func(p *pile) error { return p.scale(c.Replica, c.FieldSpecs) }, nil
	case *patchPlugin:
		return l.patch(c.Patch)
	case *jsonPlugin:
		return l.jsonPatch(types.Patch{Target: c.Target, Path: c.Path, Patch: c.JsonOp})
	case *mergePlugin:
		return l.mergePatches(c.Paths, c.Patches)
	case resmap.Transformer: // what is left asks a pile only for what it has
		return func(p *pile) error { return c.Transform(p) }, nil
	}
	return nil, errors.New("it is no transformer")
}
