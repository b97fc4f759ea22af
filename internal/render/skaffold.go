package render

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/skaffold"
	"slipway/internal/render/tree"
)

// Explain resolves the skaffold.yaml of an environment, which must have one, into its configurations with the
// active profiles. An error is an *Error.
func (r *Renderer) Explain(ctx context.Context, env project.Environment) ([]skaffold.Resolved, error) {
	s := source{Renderer: r, env: env}
	resolved, err := s.resolve(r.tree.View(ctx), *env.Skaffold)
	if err != nil {
		return nil, &Error{Environment: env.Name, Err: err}
	}
	return resolved, nil
}

func (s *source) resolve(v *tree.View, sk project.Skaffold) ([]skaffold.Resolved, error) {
	text, err := v.File(sk.File)
	if err != nil {
		return nil, err
	}
	configs, err := skaffold.Parse(text, sk.File)
	if err != nil {
		return nil, err
	}
	o := s.options
	return skaffold.Resolve(configs, skaffold.Activation{
		Command: o.Command, KubeContext: s.env.Context, KubeContextFlag: o.KubeContext, Env: o.Env,
		Profiles: sk.Profiles,
	}, v.File)
}

// skaffold lists what a skaffold.yaml names, in Skaffold's order: files, kustomizations, charts.
func (s *source) skaffold(v *tree.View, sk project.Skaffold) ([]unit, error) {
	resolved, err := s.resolve(v, sk)
	if err != nil {
		return nil, err
	}
	var all []unit
	for i, r := range resolved {
		m, err := r.Manifests(images(r))
		if err != nil {
			return nil, err
		}
		var warnings []string
		for _, w := range slices.Concat(r.Warnings, m.Warnings) {
			warnings = append(warnings, fmt.Sprint(w))
		}
		if m.KubeContext != "" && s.env.Context != "" && m.KubeContext != s.env.Context {
			warnings = append(warnings, fmt.Sprintf(
				"deploy.kubeContext %s is ignored: the environment's context is %s", m.KubeContext, s.env.Context))
		}
		all = append(all, unitsOf(m, unit{name: r.File, namespace: m.Namespace, index: i}, warnings)...)
	}
	return all, nil
}

// images maps each image to itself, because nothing is built.
func images(r skaffold.Resolved) map[string]string {
	refs := map[string]string{}
	for _, a := range object.Mappings(object.Mapping(r.Config["build"])["artifacts"]) {
		if name, _ := a["image"].(string); name != "" {
			refs[name] = name
		}
	}
	return refs
}

// unitsOf lists what one configuration names. The warnings are about the configuration.
func unitsOf(m skaffold.Manifests, of unit, warnings []string) []unit {
	var all []unit
	for _, p := range m.RawYAML {
		all = append(all, unit{pattern: p.Path})
	}
	for _, p := range m.Kustomize {
		all = append(all, unit{overlay: p.Path, unrestricted: m.LoadRestrictionsNone})
	}
	for _, r := range m.Releases {
		c := chartOf(r)
		all = append(all, unit{chart: &c, inline: r.Overrides})
	}
	if len(all) == 0 && len(warnings) > 0 {
		all = []unit{{}}
	}
	for i := range all {
		all[i].name, all[i].namespace, all[i].index = of.name, of.namespace, of.index
	}
	if len(all) > 0 {
		all[0].warnings = warnings
	}
	return all
}

func chartOf(r skaffold.Release) project.Chart {
	c := project.Chart{
		Path: r.ChartPath, Release: r.Name, Namespace: r.Namespace, Values: r.ValuesFiles,
		Set: r.Set, SetFile: r.SetFile, Line: r.Line,
	}
	if c.Path == "" {
		c.Path, c.Repository, c.Version = r.RemoteChart, r.Repo, r.Version
	}
	return c
}

// Charts returns the charts of an environment, or of its skaffold.yaml.
func (r *Renderer) Charts(ctx context.Context, env project.Environment) ([]project.Chart, error) {
	charts := env.Charts
	if env.Skaffold == nil {
		return charts, nil
	}
	resolved, err := r.Explain(ctx, env)
	if err != nil {
		return nil, err
	}
	for _, c := range resolved {
		m, err := c.Manifests(images(c))
		if err != nil {
			return nil, &Error{Environment: env.Name, Err: err}
		}
		for _, release := range m.Releases {
			charts = append(charts, chartOf(release))
		}
	}
	return charts, nil
}

// pattern reads the files that a pattern matches, and the files in directories that it matches.
func (s *piece) pattern(pattern string) error {
	names := []string{"."}
	for _, part := range strings.Split(path.Clean(pattern), "/") {
		var matched []string
		for _, name := range names {
			more, err := s.match(name, part)
			if err != nil {
				return fmt.Errorf("%s: %w", pattern, err)
			}
			matched = append(matched, more...)
		}
		names = matched
	}
	if len(names) == 0 {
		s.warn("%s matches no file", pattern)
	}
	for _, name := range names {
		kind, err := s.view.Kind(name)
		if err != nil {
			return err
		}
		if kind == tree.Directory {
			err = s.plain(name)
		} else if manifest(name) {
			err = s.file(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// match lists the entries of a directory whose name matches part.
func (s *piece) match(dir, part string) ([]string, error) {
	if !strings.ContainsAny(part, `*?[\`) {
		kind, err := s.view.Kind(path.Join(dir, part))
		if err != nil || kind == tree.Nothing {
			return nil, err
		}
		return []string{path.Join(dir, part)}, nil
	}
	if !s.view.IsDirectory(dir) {
		return nil, nil
	}
	entries, err := s.view.Directory(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		ok, err := path.Match(part, e.Name())
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names, nil
}
