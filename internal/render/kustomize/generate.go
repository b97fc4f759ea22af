package kustomize

import (
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// generate adds what generators of all kinds make.
func generate(l *layer, m *resources) error {
	factory := l.build.parts.GetResourceFactory()
	at := l.entries(len(l.ConfigMapGenerator), "configMapGenerator")
	for i, args := range l.ConfigMapGenerator {
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, l.GeneratorOptions)
		r, err := factory.MakeConfigMap(l.keyValues(at[i]), &args)
		if err == nil {
			err = m.absorb(r, at[i].at, l.builtin("ConfigMapGenerator"))
		}
		if err != nil {
			return at[i].fail(err)
		}
		l.selections = append(l.selections, m.selection(at[i]))
	}
	at = l.entries(len(l.SecretGenerator), "secretGenerator")
	for i, args := range l.SecretGenerator {
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, l.GeneratorOptions)
		r, err := factory.MakeSecret(l.keyValues(at[i]), &args)
		if err == nil {
			err = m.absorb(r, at[i].at, l.builtin("SecretGenerator"))
		}
		if err != nil {
			return at[i].fail(err)
		}
		l.selections = append(l.selections, m.selection(at[i]))
	}
	if err := inflateCharts(l, m); err != nil {
		return err
	}
	configs, err := pluginConfigs(l, l.Generators, "generators")
	if err != nil {
		return err
	}
	for _, config := range configs.list {
		at := entry{at: configs.origins[config]}
		if err := runGenerator(l, m, at, config); err != nil {
			return at.fail(err)
		}
	}
	return nil
}

// runGenerator adds what a generator makes that is configured by a resource.
func runGenerator(l *layer, m *resources, at entry, config *resource.Resource) error {
	by, err := resource.OriginFromCustomPlugin(config)
	if err != nil {
		return err
	}
	if config.GetKind() == "HelmChartInflationGenerator" && config.GetApiVersion() == "builtin" {
		return inflateConfigured(l, m, at, config, by)
	}
	plugin, err := configuredPlugin(l, at, config)
	if err != nil {
		return err
	}
	generator, ok := plugin.(resmap.Generator)
	if !ok {
		return fmt.Errorf("%s is not a generator", config.GetKind())
	}
	made, err := generator.Generate()
	if err != nil || made == nil {
		return err
	}
	for _, r := range made.Resources() {
		if err := m.absorb(r, at.at, by); err != nil {
			return err
		}
	}
	return nil
}

// configuredPlugin makes one of the library's own plugins. No others are run.
func configuredPlugin(l *layer, at entry, config *resource.Resource) (resmap.Configurable, error) {
	kind := config.GetKind()
	if config.GetApiVersion() != "builtin" {
		return nil, &tree.RefusedError{What: "plugin " + kind,
			Why: "only Kustomize's built-in plugins are supported"}
	}
	plugin := builtinPlugin(kind)
	if plugin == nil {
		return nil, fmt.Errorf("unknown builtin plugin %s", kind)
	}
	text, err := config.AsYAML()
	if err != nil {
		return nil, err
	}
	return plugin, plugin.Config(l.helpers(at), text)
}

// validate runs the validators, which may change nothing but a label that says so.
func validate(l *layer, m *resources) error {
	steps, err := customSteps(l, l.Validators, "validators")
	if err != nil {
		return err
	}
	for _, step := range steps {
		before, err := texts(m)
		if err == nil {
			err = step.run(m)
		}
		var after map[object.Ref]string
		if err == nil {
			after, err = texts(m)
		}
		if err != nil {
			return step.at.fail(err)
		}
		for ref, text := range before {
			if after[ref] != text || len(after) != len(before) {
				return step.at.fail(errors.New("a validator must not change the resources: " + ref.String()))
			}
		}
	}
	return nil
}

// texts returns all resources as text, without the label that a validator may set.
func texts(m *resources) (map[object.Ref]string, error) {
	all := map[object.Ref]string{}
	for _, r := range m.list {
		c := r.DeepCopy()
		if labels := c.GetLabels(); labels[validatedBy] != "" {
			delete(labels, validatedBy)
			if err := c.SetLabels(labels); err != nil {
				return nil, err
			}
		}
		text, err := c.RNode.String()
		if err != nil {
			return nil, err
		}
		all[refOf(r.CurId())] = text
	}
	return all, nil
}
