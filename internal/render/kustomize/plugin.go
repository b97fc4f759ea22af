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

// Patches are applied by our own code, which needs only the configuration of their plugins.

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

// prefixSuffix adds a prefix and a suffix.
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

// customSteps makes the steps of what transformers or validators name.
func customSteps(l *layer, texts []string, field string) ([]step, error) {
	configs, err := pluginConfigs(l, texts, field)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, config := range configs.list {
		at := entry{at: configs.origins[config]}
		by, err := resource.OriginFromCustomPlugin(config)
		var plugin resmap.Configurable
		if err == nil {
			plugin, err = configuredPlugin(l, at, config)
		}
		var run change
		if err == nil {
			run, err = transformation(l, at, plugin)
		}
		if err != nil {
			return nil, at.fail(err)
		}
		steps = append(steps, step{at, by, markAll(run)})
	}
	return steps, nil
}

// transformation is what a plugin does to resources.
func transformation(l *layer, at entry, plugin resmap.Configurable) (change, error) {
	switch c := plugin.(type) {
	case *builtins.HashTransformerPlugin:
		return addHashes, nil
	case *builtins.NamespaceTransformerPlugin:
		return setNamespace(namespace.Filter{
			Namespace: c.Namespace, FsSlice: c.FieldSpecs, UnsetOnly: c.UnsetOnly,
			SetRoleBindingSubjects: c.SetRoleBindingSubjects,
		}), nil
	case *builtins.PrefixTransformerPlugin:
		return addPrefix(c.Prefix, c.FieldSpecs), nil
	case *builtins.SuffixTransformerPlugin:
		return addSuffix(c.Suffix, c.FieldSpecs), nil
	case *prefixSuffix:
		prefix := addPrefix(c.prefix.Prefix, c.prefix.FieldSpecs)
		suffix := addSuffix(c.suffix.Suffix, c.suffix.FieldSpecs)
		return func(m *resources) error {
			if err := prefix(m); err != nil {
				return err
			}
			return suffix(m)
		}, nil
	case *builtins.ReplicaCountTransformerPlugin:
		return setReplicas(c.Replica, c.FieldSpecs), nil
	case *patchPlugin:
		return patchChange(l, at, c.Patch)
	case *jsonPlugin:
		return jsonPatchChange(l, at, types.Patch{Target: c.Target, Path: c.Path, Patch: c.JsonOp})
	case *mergePlugin:
		texts := c.Paths
		if c.Patches != "" {
			texts = append(texts, c.Patches)
		}
		return mergeAll(l, texts, func(int) entry { return at })
	case resmap.Transformer:
		return func(m *resources) error { return c.Transform(m) }, nil
	}
	return nil, errors.New("not a transformer")
}
