package origin

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// The kinds of values.
const (
	values   = "values"
	defaults = "defaults" // a chart's own
)

func (o Override) isDefault() bool { return o.Kind == defaults }

// chartFlag is one setting of a chart in the project file.
type chartFlag struct{ chart, list, index int }

// flagNames are the names of these lists in the project file, in the order of flagLists.
var flagNames = []string{"setJSON", "set", "setString", "setFile", "setLiteral"}

// flagLists are the lists of a chart's settings, the weakest first.
func flagLists(c *project.Chart) []*[]string {
	return []*[]string{&c.SetJSON, &c.Set, &c.SetString, &c.SetFile, &c.SetLiteral}
}

// charts collects the values of the environment's charts, the weakest first.
func (c *collector) charts(env project.Environment, charts []project.Chart) error {
	for i, chart := range charts {
		if chart.Repository == "" {
			if err := c.valuesFile(path.Join(chart.Path, "values.yaml"), defaults); err != nil {
				return err
			}
		}
		for _, name := range chart.Values {
			if err := c.valuesFile(name, values); err != nil {
				return err
			}
		}
		if i < len(env.Charts) {
			c.flags(env.Name, i, chart)
		}
	}
	return nil
}

func (c *collector) valuesFile(name, kind string) error {
	if !c.read[name] {
		return nil
	}
	f, err := c.open(name)
	if f == nil {
		return err
	}
	c.leaves(f, "", resolved(f.doc.Content[0]), func(o *Override) { o.Kind = kind })
	return nil
}

// skaffold collects the values that a skaffold.yaml itself gives to charts, those of its profiles last.
func (c *collector) skaffold(name string) error {
	f, err := c.open(name)
	if f == nil {
		return err
	}
	top := resolved(f.doc.Content[0])
	for _, config := range append([]*yaml.Node{top}, items(value(top, "profiles"))...) {
		for _, section := range []string{"manifests", "deploy"} {
			for _, release := range items(value(value(value(config, section), "helm"), "releases")) {
				for _, field := range []string{"setValues", "setValueTemplates", "overrides"} {
					if n := value(release, field); n != nil {
						c.leaves(f, "", n, useDots)
					}
				}
			}
		}
	}
	return nil
}

// useDots names a value as the keys of setValues do.
func useDots(o *Override) {
	steps, err := object.Steps(o.Name)
	if err != nil {
		return
	}
	var keys []string
	for _, s := range steps {
		keys = append(keys, s.Key)
	}
	o.Name = strings.Join(keys, ".")
}

func (c *collector) flags(env string, i int, chart project.Chart) {
	for j, list := range flagLists(&chart) {
		for k, s := range *list {
			key, says, _ := strings.Cut(s, "=")
			place := finding.Place{File: project.File, Line: chart.Line}
			if n := c.flagNode(env, i, flagNames[j], k); n != nil {
				place.Line, place.Column = n.Line, n.Column
			}
			c.overrides = append(c.overrides, Override{
				Place: place, Kind: values, Name: key, Text: says,
				flag: &chartFlag{i, j, k}, rank: len(c.overrides),
			})
		}
	}
}

// flagNode is where the project file has a setting; nil: the environment was detected.
func (c *collector) flagNode(env string, chart int, list string, k int) *yaml.Node {
	if !c.view.IsFile(project.File) {
		return nil
	}
	docs, err := c.view.Documents(project.File)
	if err != nil || len(docs) == 0 || len(docs[0].Content) == 0 {
		return nil
	}
	return object.Node(docs[0].Content[0], []object.Step{
		{Key: "environments"}, {Key: env}, {Key: "charts"}, {Element: true, Index: chart}, {Key: list},
		{Element: true, Index: k},
	})
}

// leaves collects each value that is not a mapping: these are what Helm merges.
func (c *collector) leaves(f *file, at string, n *yaml.Node, adjust func(*Override)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := object.Join(at, k.Value)
		if below := resolved(v); below.Kind == yaml.MappingNode && len(below.Content) > 0 && below == v {
			c.leaves(f, name, below, adjust)
			continue
		}
		o := Override{
			Place: finding.Place{File: f.name, Line: k.Line, Column: k.Column},
			Kind:  values, Name: name, Text: brief(v),
		}
		if adjust != nil {
			adjust(&o)
		}
		c.add(o, f, v, nil)
	}
}
