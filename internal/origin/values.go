package origin

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

const (
	values   = "values"
	defaults = "defaults" // a chart's own values
)

func (o Override) isDefault() bool { return o.Kind == defaults }

// charts notes the values of the environment's charts, the weakest first.
func (l *lab) charts() error {
	for i, c := range l.env.Charts {
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
		l.flags(i, c)
	}
	return nil
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
