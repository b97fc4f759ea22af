package kustomize

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

// Chart is an entry of helmCharts, ready to be rendered.
type Chart struct {
	types.HelmChart
	// Origin is the entry.
	Origin object.Origin
	// Dir is the chart's folder in the tree. Where Repo is set it may be that it is not there.
	Dir string
	// Values are those of the entry's own values file with valuesInline, as valuesMerge says. They come
	// before AdditionalValuesFiles, which are paths in the tree.
	Values map[string]any
}

// charts renders helmCharts.
func (l *layer) charts(p *pile) error {
	at := l.entries("helmCharts", "helmChartInflationGenerator")
	for i, chart := range l.k.HelmCharts {
		l.now = at.item(i)
		var globals types.HelmGlobals
		if l.k.HelmGlobals != nil {
			globals = *l.k.HelmGlobals
		}
		if chart.Namespace == "" {
			chart.Namespace = l.k.Namespace
		}
		if chart.Namespace == "" {
			chart.Namespace = l.namespace
		}
		if err := l.inflate(p, chart, globals, l.at(l.now), l.builtin("HelmChartInflationGenerator")); err != nil {
			return l.fail(l.now, err)
		}
	}
	return nil
}

// chartOf renders a chart that a file of generators asks for.
func (l *layer) chartOf(p *pile, config *resource.Resource, at object.Origin, by *resource.Origin) error {
	text, err := config.AsYAML()
	if err != nil {
		return err
	}
	var c struct {
		types.HelmGlobals
		types.HelmChart
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return err
	}
	l.now = entry{plugin: at}
	return l.inflate(p, c.HelmChart, c.HelmGlobals, at, by)
}

func (l *layer) inflate(p *pile, chart types.HelmChart, globals types.HelmGlobals, at object.Origin,
	by *resource.Origin) error {
	l.private = true // a render may depend on more than files: on a cluster, or on the name of an environment
	if l.options.Inflate == nil {
		return &refusedError{Origin: at, What: "helmCharts", Why: "charts are not rendered here"}
	}
	c, err := l.chart(chart, globals, at)
	if err != nil {
		return err
	}
	made, err := l.options.Inflate(l.view, c)
	if err != nil {
		return err
	}
	for _, o := range made {
		r := resourceOf(o)
		err := r.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true"))
		if err == nil {
			err = originate(r, by)
		}
		if err == nil {
			err = p.absorb(r, o.Origin)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *layer) chart(chart types.HelmChart, globals types.HelmGlobals, at object.Origin) (Chart, error) {
	c := Chart{HelmChart: chart, Origin: at}
	switch {
	case c.Name == "":
		return c, errors.New("a chart needs a name")
	case strings.HasPrefix(c.Name, "-") || strings.HasPrefix(c.ReleaseName, "-"):
		return c, errors.New("a name may not begin with -")
	}
	home := globals.ChartHome
	if home == "" {
		home = types.HelmDefaultHome
	}
	if c.Version != "" && c.Repo != "" {
		home = path.Join(home, c.Name+"-"+c.Version)
	}
	if remote(home) || path.IsAbs(home) {
		return c, &refusedError{Origin: at, What: "chartHome: " + home, Why: "it is outside the project"}
	}
	c.Dir = path.Join(l.dir, home, c.Name)
	for i, file := range c.AdditionalValuesFiles {
		_, rel, err := l.text(file)
		if err != nil {
			return c, err
		}
		c.AdditionalValuesFiles[i] = rel
	}
	own := c.ValuesFile
	if own == "" {
		own = path.Join(home, c.Name, "values.yaml")
		if c.Repo != "" && !l.view.IsFolder(c.Dir) { // what is not here yet brings its own values
			c.Values = c.ValuesInline
			if c.ValuesMerge == "merge" {
				return c, fmt.Errorf("valuesMerge: merge needs the chart to be in %s", c.Dir)
			}
			return c, nil
		}
	}
	var err error
	c.Values, err = l.values(own, c.ValuesInline, c.ValuesMerge)
	return c, err
}

// values puts values of a file and inline ones together.
func (l *layer) values(file string, inline map[string]any, how string) (map[string]any, error) {
	if how != "" && how != "override" && how != "merge" && how != "replace" {
		return nil, fmt.Errorf("valuesMerge must be override, merge or replace, not %s", how)
	}
	if len(inline) > 0 && how == "replace" {
		return inline, nil
	}
	text, rel, err := l.text(file)
	if err != nil {
		return nil, err
	}
	below, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, checked(text, rel, err)
	}
	if len(inline) == 0 {
		return below.Map()
	}
	above, err := kyaml.FromMap(inline)
	if err != nil {
		return nil, err
	}
	if how == "merge" {
		above, below = below, above
	}
	all, err := merge2.Merge(above, below, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	return all.Map()
}
