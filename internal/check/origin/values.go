package origin

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	values   = "values"
	defaults = "defaults" // a chart's own values
)

func (o Override) isDefault() bool { return o.Kind == defaults }

// chartsValues notes the values of the environment's charts, the weakest first.
func (l *lab) chartsValues() error {
	for i, c := range l.charts {
		names := c.Values
		if c.Repository == "" {
			names = append([]string{path.Join(c.Path, "values.yaml")}, names...)
		}
		for j, name := range names {
			if !l.was(name) {
				continue
			}
			f, err := l.open(name)
			if err != nil {
				return err
			}
			if f == nil {
				continue
			}
			kind := values
			if c.Repository == "" && j == 0 {
				kind = defaults
			}
			l.leaves(f, "", resolved(f.doc.Content[0]), func(o *Override) { o.Kind = kind })
		}
		if i < len(l.env.Charts) {
			l.flags(i, c)
		}
	}
	return nil
}

// skaffold notes the values that a skaffold.yaml itself gives to charts, those of its profiles last.
func (l *lab) skaffold() error {
	if l.env.Skaffold == nil || len(l.charts) == 0 {
		return nil
	}
	f, err := l.open(l.env.Skaffold.File)
	if f == nil {
		return err
	}
	top := resolved(f.doc.Content[0])
	for _, config := range append([]*yaml.Node{top}, items(value(top, "profiles"))...) {
		for _, section := range []string{"manifests", "deploy"} {
			for _, release := range items(value(value(value(config, section), "helm"), "releases")) {
				for _, field := range []string{"setValues", "setValueTemplates", "overrides"} {
					if n := value(release, field); n != nil {
						l.leaves(f, "", n, dotted)
					}
				}
			}
		}
	}
	return nil
}

// dotted is how the keys of setValues name what they set.
func dotted(o *Override) {
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

func (l *lab) flags(i int, c project.Chart) {
	for j, list := range flagLists(&c) {
		for k, s := range *list {
			key, says, _ := strings.Cut(s, "=")
			l.overrides = append(l.overrides, Override{
				Place: finding.Place{File: project.File, Line: c.Line}, Kind: values, Name: key, Text: says,
				set: &flag{i, j, k}, rank: len(l.overrides),
			})
		}
	}
}

// leaves notes each value that is no mapping: that is what Helm merges.
func (l *lab) leaves(f *file, at string, n *yaml.Node, also func(*Override)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := object.Join(at, k.Value)
		if below := resolved(v); below.Kind == yaml.MappingNode && len(below.Content) > 0 && below == v {
			l.leaves(f, name, below, also)
			continue
		}
		o := Override{Kind: values, Name: name, Text: brief(v)}
		if also != nil {
			also(&o)
		}
		l.add(o, f, v, nil)
		last := &l.overrides[len(l.overrides)-1]
		last.Line, last.Column = k.Line, k.Column
	}
}
