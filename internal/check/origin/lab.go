package origin

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
)

// lab renders one environment again and again.
type lab struct {
	renderer  *render.Renderer
	view      *tree.View
	env       project.Environment
	charts    []project.Chart // its own, and those of its skaffold.yaml
	with      render.Result
	files     map[string]*file
	overrides []Override
	several   []string // files of several documents, of which none is tried
	documents map[object.Origin]*yaml.Node
	// tangled: what an override changes is not to be known from where an object is written. A replacement
	// may carry it elsewhere, or a patch may give the object another name.
	tangled bool
}

// file is one that holds overrides.
type file struct {
	name string
	doc  *yaml.Node
	// reach is the folder that holds all objects of a kustomization; "." where that is not sure.
	reach string
}

// node is where an override stands in a file, or in a text that stands in one.
type node struct {
	*yaml.Node
	inside *inline
}

// inline is a scalar that is a document by itself.
type inline struct{ scalar, doc *yaml.Node }

// flag is a chart's setting in the project file: one of a list of its.
type flag struct{ chart, list, index int }

// flagLists are the lists of a chart's settings, the weakest first.
func flagLists(c *project.Chart) []*[]string {
	return []*[]string{&c.SetJSON, &c.Set, &c.SetString, &c.SetFile, &c.SetLiteral}
}

func newLab(ctx context.Context, r *render.Renderer, env project.Environment) (*lab, error) {
	with, err := r.Render(ctx, env)
	if err != nil {
		return nil, err
	}
	charts, err := r.Charts(ctx, env)
	if err != nil {
		return nil, err
	}
	l := &lab{renderer: r, charts: charts, view: r.View(ctx), env: env, with: with, files: map[string]*file{},
		documents: map[object.Origin]*yaml.Node{}}
	if err := l.kustomizations(); err != nil {
		return nil, err
	}
	if err := l.chartsValues(); err != nil {
		return nil, err
	}
	return l, l.skaffold()
}

// open parses a file once. What is no YAML document holds no override.
func (l *lab) open(name string) (*file, error) {
	if f, ok := l.files[name]; ok {
		return f, nil
	}
	text, err := l.view.File(name)
	if err != nil {
		return nil, err
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err != nil || len(doc.Content) == 0 {
		l.files[name] = nil
		return nil, nil
	}
	if d.Decode(&more) == nil {
		l.several = append(l.several, name)
		l.files[name] = nil
		return nil, nil
	}
	l.files[name] = &file{name: name, doc: &doc}
	return l.files[name], nil
}

func (l *lab) add(o Override, f *file, n *yaml.Node, inside *inline) {
	o.file, o.node, o.rank = f, &node{n, inside}, len(l.overrides)
	o.Place = finding.Place{File: f.name, Line: n.Line, Column: n.Column}
	if inside != nil { // its lines begin below the scalar's
		o.Line, o.Column = inside.scalar.Line+n.Line, 0
	}
	l.overrides = append(l.overrides, o)
}

// render renders without some overrides, and with what others say made into something else.
func (l *lab) render(ctx context.Context, without []Override, others ...*bent) ([]object.Object, error) {
	c := change{drop: map[*yaml.Node]bool{}, replace: map[*yaml.Node]*yaml.Node{}}
	touched, texts := map[*file]bool{}, map[*inline]bool{}
	env := leaveFlags(l.env, without)
	for _, other := range others {
		maps.Copy(c.replace, other.nodes)
		touched[other.file] = true
		if other.inside != nil {
			texts[other.inside] = true
		}
	}
	for _, o := range without {
		if o.set != nil {
			continue
		}
		touched[o.file] = true
		c.drop[o.node.Node] = true
		if o.node.inside != nil {
			texts[o.node.inside] = true
		}
	}
	for t := range texts {
		c.replace[t.scalar] = &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle,
			Value: string(c.print(t.doc)), Line: t.scalar.Line}
	}
	edits := map[string][]byte{}
	for f := range touched {
		edits[f.name] = c.print(f.doc)
	}
	result, err := l.renderer.Edited(ctx, env, edits)
	if errors.Is(err, render.ErrEmpty) {
		return nil, nil
	}
	return result.Set.Objects(), err
}

// leaveFlags is the environment without the flags that are left out.
func leaveFlags(env project.Environment, without []Override) project.Environment {
	env.Charts = slices.Clone(env.Charts)
	for i := range env.Charts {
		for j, list := range flagLists(&env.Charts[i]) {
			var kept []string
			for k, s := range *list {
				if !slices.ContainsFunc(without, func(o Override) bool {
					return o.set != nil && *o.set == flag{i, j, k}
				}) {
					kept = append(kept, s)
				}
			}
			*list = kept
		}
	}
	return env
}

// value is what a mapping has for a key, in whatever case it is written.
func value(n *yaml.Node, key string) *yaml.Node {
	n = resolved(n)
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return resolved(n.Content[i+1])
		}
	}
	return nil
}

func resolved(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func text(n *yaml.Node) string {
	if n = resolved(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// brief is what a node says, on one line.
func brief(n *yaml.Node) string {
	s := strings.Join(strings.Fields(string(change{}.print(n))), " ")
	if n.Kind == yaml.ScalarNode {
		s = strings.Join(strings.Fields(n.Value), " ")
	}
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return s
}
