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
	"slipway/internal/render/tree"
)

// Chart is an entry of helmCharts, ready to be rendered.
type Chart struct {
	types.HelmChart
	// Origin is the entry.
	Origin object.Origin
	// Dir is the chart's directory in the tree. Where Repo is set it may not exist.
	Dir string
	// Values are those of the entry's own values file with valuesInline, as valuesMerge says. They come
	// before AdditionalValuesFiles, which are paths in the tree.
	Values map[string]any
}

// chartEntry is a chart as it is written.
type chartEntry struct {
	types.HelmGlobals
	types.HelmChart
}

// inflateCharts renders helmCharts.
func inflateCharts(l *layer, m *resources) error {
	at := l.entries(len(l.HelmCharts), "helmCharts", "helmChartInflationGenerator")
	for i, chart := range l.HelmCharts {
		c := chartEntry{HelmChart: chart}
		if l.HelmGlobals != nil {
			c.HelmGlobals = *l.HelmGlobals
		}
		if c.Namespace == "" {
			c.Namespace = l.Namespace
		}
		if c.Namespace == "" {
			c.Namespace = l.namespace
		}
		if err := inflate(l, m, at[i], c, l.builtin("HelmChartInflationGenerator")); err != nil {
			return at[i].fail(err)
		}
		l.selections = append(l.selections, m.selection(at[i]))
	}
	return nil
}

// inflateConfigured renders a chart that a file of generators asks for.
func inflateConfigured(l *layer, m *resources, at entry, config *resource.Resource,
	by *resource.Origin) error {
	text, err := config.AsYAML()
	if err != nil {
		return err
	}
	var c chartEntry
	if err := yaml.Unmarshal(text, &c); err != nil {
		return err
	}
	return inflate(l, m, at, c, by)
}

func inflate(l *layer, m *resources, at entry, e chartEntry, by *resource.Origin) error {
	l.private = true // a render may depend on more than files: on a cluster, or on the name of an environment
	if l.build.options.Inflate == nil {
		return &tree.RefusedError{Origin: at.at, What: "helmCharts", Why: "charts are not supported here"}
	}
	c, err := chartOf(l, at, e)
	if err != nil {
		return err
	}
	made, err := l.build.options.Inflate(l.view, c)
	if err != nil {
		return err
	}
	for _, o := range made {
		r := resourceOf(o)
		err := r.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true"))
		if err == nil {
			err = m.absorb(r, o.Origin, by)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chartOf finds the directory and the values of a chart.
func chartOf(l *layer, at entry, e chartEntry) (Chart, error) {
	c := Chart{HelmChart: e.HelmChart, Origin: at.at}
	switch {
	case c.Name == "":
		return c, errors.New("a chart needs a name")
	case strings.HasPrefix(c.Name, "-") || strings.HasPrefix(c.ReleaseName, "-"):
		return c, errors.New("a name must not begin with -")
	}
	home := e.ChartHome
	if home == "" {
		home = types.HelmDefaultHome
	}
	if c.Version != "" && c.Repo != "" {
		home = path.Join(home, c.Name+"-"+c.Version)
	}
	if isRemote(home) || path.IsAbs(home) {
		return c, &tree.RefusedError{Origin: at.at, What: "chartHome: " + home, Why: "outside the project"}
	}
	c.Dir = path.Join(l.dir, home, c.Name)
	for i, file := range c.AdditionalValuesFiles {
		_, rel, err := l.readFile(at, file)
		if err != nil {
			return c, err
		}
		c.AdditionalValuesFiles[i] = rel
	}
	// A chart that is yet to be fetched brings its own values.
	if c.ValuesFile == "" && c.Repo != "" && !l.view.IsDirectory(c.Dir) {
		c.Values = c.ValuesInline
		if c.ValuesMerge == "merge" {
			return c, fmt.Errorf("valuesMerge: merge needs the chart to be in %s", c.Dir)
		}
		return c, nil
	}
	if c.ValuesFile == "" {
		c.ValuesFile = path.Join(home, c.Name, "values.yaml")
	}
	var err error
	c.Values, err = chartValues(l, at, c.HelmChart)
	return c, err
}

// chartValues merges the values of a file with inline ones.
func chartValues(l *layer, at entry, c types.HelmChart) (map[string]any, error) {
	how := c.ValuesMerge
	if how != "" && how != "override" && how != "merge" && how != "replace" {
		return nil, fmt.Errorf("valuesMerge must be override, merge or replace, not %s", how)
	}
	if len(c.ValuesInline) > 0 && how == "replace" {
		return c.ValuesInline, nil
	}
	text, rel, err := l.readFile(at, c.ValuesFile)
	if err != nil {
		return nil, err
	}
	weak, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, syntaxError(text, rel, err)
	}
	if len(c.ValuesInline) == 0 {
		return weak.Map()
	}
	strong, err := kyaml.FromMap(c.ValuesInline)
	if err != nil {
		return nil, err
	}
	if how == "merge" {
		strong, weak = weak, strong
	}
	all, err := merge2.Merge(strong, weak, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	return all.Map()
}
