package kustomize

import (
	"errors"
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/kv"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// generate makes what generators of all sorts make, and puts it to the pile.
func (l *layer) generate(p *pile) error {
	values := kv.NewLoader(l, l.parts.GetFieldValidator())
	at := l.entries("configMapGenerator")
	for i, args := range l.k.ConfigMapGenerator {
		l.now = at.item(i)
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, l.k.GeneratorOptions)
		r, err := l.parts.GetResourceFactory().MakeConfigMap(values, &args)
		if err := l.generated(p, r, err, l.builtin("ConfigMapGenerator")); err != nil {
			return err
		}
	}
	at = l.entries("secretGenerator")
	for i, args := range l.k.SecretGenerator {
		l.now = at.item(i)
		args.Options = types.MergeGlobalOptionsIntoLocal(args.Options, l.k.GeneratorOptions)
		r, err := l.parts.GetResourceFactory().MakeSecret(values, &args)
		if err := l.generated(p, r, err, l.builtin("SecretGenerator")); err != nil {
			return err
		}
	}
	if err := l.charts(p); err != nil {
		return err
	}
	return l.plugins(p)
}

// generated puts one made resource to the pile.
func (l *layer) generated(p *pile, r *resource.Resource, err error, by *resource.Origin) error {
	if err == nil {
		err = originate(r, by)
	}
	if err == nil {
		err = p.absorb(r, l.at(l.now))
	}
	if err != nil {
		return l.fail(l.now, err)
	}
	return nil
}

// originate notes who made a resource, for those who asked by buildMetadata.
func originate(r *resource.Resource, by *resource.Origin) error {
	if by == nil {
		return nil
	}
	if have, err := r.GetOrigin(); have != nil || err != nil {
		return nil
	}
	return r.SetOrigin(by)
}

// builtin is the origin of what a field of this kustomization does.
func (l *layer) builtin(kind string) *resource.Origin {
	if l.origin == nil {
		return nil
	}
	return &resource.Origin{
		ConfiguredIn: path.Join(l.origin.Path, path.Base(l.file)),
		ConfiguredBy: kyaml.ResourceIdentifier{TypeMeta: kyaml.TypeMeta{APIVersion: "builtin", Kind: kind}},
	}
}

// plugins runs what generators name.
func (l *layer) plugins(p *pile) error {
	configs, err := l.pluginConfigs(l.k.Generators, "generators")
	if err != nil {
		return err
	}
	for _, config := range configs.list {
		at := configs.origins[config]
		by, err := resource.OriginFromCustomPlugin(config)
		if err != nil {
			return located(at, err)
		}
		if config.GetKind() == "HelmChartInflationGenerator" && config.GetApiVersion() == "builtin" {
			if err := l.chartOf(p, config, at, by); err != nil {
				return located(at, err)
			}
			continue
		}
		l.now = entry{plugin: at}
		made, err := l.run(config)
		if l.failed != nil {
			err = l.failed
		}
		if err != nil {
			return located(at, err)
		}
		for _, r := range made {
			if err = originate(r, by); err == nil {
				err = p.absorb(r, at)
			}
			if err != nil {
				return located(at, err)
			}
		}
	}
	return nil
}

func (l *layer) run(config *resource.Resource) ([]*resource.Resource, error) {
	c, err := l.plugin(config)
	if err != nil {
		return nil, err
	}
	g, ok := c.(resmap.Generator)
	if !ok {
		return nil, fmt.Errorf("%s is no generator", config.GetKind())
	}
	made, err := g.Generate()
	if err != nil || made == nil {
		return nil, err
	}
	return made.Resources(), nil
}

// plugin makes one of the library's own plugins. There are no others here.
func (l *layer) plugin(config *resource.Resource) (resmap.Configurable, error) {
	kind := config.GetKind()
	if config.GetApiVersion() != "builtin" {
		return nil, &refusedError{What: "plugin " + kind,
			Why: "only Kustomize's own plugins are run, and nothing else is executed"}
	}
	made := builtinPlugin(kind)
	if made == nil {
		return nil, fmt.Errorf("there is no builtin plugin %s", kind)
	}
	text, err := config.AsYAML()
	if err != nil {
		return nil, err
	}
	return made, made.Config(l.helpers(), text)
}

func (l *layer) helpers() *resmap.PluginHelpers {
	return resmap.NewPluginHelpers(l, l.parts.GetFieldValidator(),
		resmap.NewFactory(l.parts.GetResourceFactory()), types.DisabledPluginConfig())
}

// validate runs the validators, which may change nothing but a label that says so.
func (l *layer) validate(p *pile) error {
	if len(l.k.Validators) == 0 {
		return nil
	}
	steps, err := l.custom(l.k.Validators, "validators")
	if err != nil {
		return err
	}
	for _, step := range steps {
		before, err := p.bodies()
		if err == nil {
			err = step.run(p)
		}
		var after map[object.Ref]string
		if err == nil {
			after, err = p.bodies()
		}
		if err != nil {
			return located(step.at, err)
		}
		for ref, text := range before {
			if after[ref] != text || len(after) != len(before) {
				return located(step.at, errors.New("a validator must not change the resources: "+ref.String()))
			}
		}
	}
	return nil
}

// bodies are the texts of all resources, without what a validator may put there.
func (p *pile) bodies() (map[object.Ref]string, error) {
	texts := map[object.Ref]string{}
	for _, r := range p.list {
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
		texts[refOf(r)] = text
	}
	return texts, nil
}
