package origin

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// bent is an override that says something else in the same place: what restates what is there anyway
// then shows, and what matches nothing or is hidden by another still does nothing.
type bent struct {
	file   *file
	inside *inline
	nodes  map[*yaml.Node]*yaml.Node
}

// bend gives nil where an override says nothing that could be something else.
func (l *lab) bend(o Override) *bent {
	if o.set != nil {
		return nil
	}
	b := &bent{file: o.file, inside: o.node.inside, nodes: map[*yaml.Node]*yaml.Node{}}
	n := o.node.Node
	switch kind := strings.ToLower(o.Kind); kind {
	case "images":
		for _, key := range []string{"newName", "newTag", "digest", "tagSuffix"} {
			b.other(value(n, key))
		}
	case "replicas":
		b.other(value(n, "count"))
	case "operation":
		b.leaves(value(n, "value"))
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		l.bendPatch(b, o)
	case "components", "replacements", "transformers":
	default:
		b.other(n)
	}
	if len(b.nodes) == 0 {
		return nil
	}
	return b
}

func (l *lab) bendPatch(b *bent, o Override) {
	doc, f, inside := l.patchText(o)
	if doc == nil {
		return
	}
	b.file, b.inside = f, inside
	root := resolved(doc.Content[0])
	if root.Kind == yaml.SequenceNode {
		for _, op := range root.Content {
			b.leaves(value(op, "value"))
		}
		return
	}
	b.merge(root, true)
}

// patchText is what a patch says and the file that it stands in, in a text there or by itself; nil where
// that cannot be read.
func (l *lab) patchText(o Override) (*yaml.Node, *file, *inline) {
	n := o.node.Node
	where, inner := text(n), (*yaml.Node)(nil)
	if n.Kind == yaml.MappingNode {
		where, inner = text(value(n, "path")), value(n, "patch")
	} else if strings.Contains(where, "\n") {
		inner = n
	}
	if inner != nil {
		var d yaml.Node
		if yaml.Unmarshal([]byte(inner.Value), &d) != nil || len(d.Content) == 0 {
			return nil, nil, nil
		}
		return &d, o.file, &inline{inner, &d}
	}
	if f := l.files[path.Join(path.Dir(o.file.name), where)]; f != nil {
		return f.doc, f, nil
	}
	return nil, nil, nil
}

// identity are keys that say which thing a merge is about.
var identity = map[string]bool{
	"name": true, "$patch": true, "containerPort": true, "port": true, "protocol": true, "mountPath": true,
	"devicePath": true, "topologyKey": true, "type": true, "key": true, "ip": true,
}

func (b *bent) merge(n *yaml.Node, top bool) {
	switch n = resolved(n); n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			b.merge(c, false)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i].Value, resolved(n.Content[i+1])
			switch {
			case top && (k == "apiVersion" || k == "kind") || identity[k] && v.Kind == yaml.ScalarNode:
			case top && k == "metadata":
				for _, below := range []string{"labels", "annotations"} {
					if m := value(v, below); m != nil {
						b.leaves(m)
					}
				}
			default:
				b.merge(v, false)
			}
		}
	default:
		b.other(n)
	}
}

func (b *bent) leaves(n *yaml.Node) {
	if n = resolved(n); n == nil {
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			b.leaves(c)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			b.leaves(n.Content[i])
		}
	default:
		b.other(n)
	}
}

// other lets a node say something else of the same type.
func (b *bent) other(n *yaml.Node) {
	if n == nil {
		return
	}
	twin := *n
	switch r := resolved(n); {
	case r.Kind == yaml.SequenceNode:
		twin = *r
		twin.Content = append(append([]*yaml.Node{}, r.Content...), probe(r.Line))
	case r.Kind == yaml.MappingNode:
		twin = *r
		twin.Content = append(append([]*yaml.Node{}, r.Content...), probe(r.Line), probe(r.Line))
	case r.ShortTag() == "!!bool":
		twin = yaml.Node{Kind: yaml.ScalarNode, Value: map[bool]string{true: "false",
			false: "true"}[strings.EqualFold(r.Value, "true")], Line: r.Line}
	case r.ShortTag() == "!!int" || r.ShortTag() == "!!float":
		twin = yaml.Node{Kind: yaml.ScalarNode, Value: "7" + r.Value, Line: r.Line}
	case strings.HasPrefix(r.Value, "sha256:"):
		twin = yaml.Node{Kind: yaml.ScalarNode, Value: "sha256:" + strings.Repeat("5", 64), Line: r.Line}
	default:
		twin = yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: r.Value + "x", Line: r.Line}
	}
	b.nodes[n] = &twin
}

func probe(line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: "x", Line: line}
}
