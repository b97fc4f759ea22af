package origin

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// mutation makes an override say something else in the same place. An override that repeats a value that is
// there anyway then has an effect; one that matches nothing, or is hidden by another, still has none.
type mutation struct {
	file   *file
	inside *inline
	nodes  map[*yaml.Node]*yaml.Node
}

// mutate returns nil where an override says nothing that could be different.
func mutate(o Override) *mutation {
	if o.flag != nil {
		return nil
	}
	m := &mutation{file: o.file, inside: o.node.inside, nodes: map[*yaml.Node]*yaml.Node{}}
	n := o.node.Node
	switch kind := strings.ToLower(o.Kind); kind {
	case "images":
		for _, key := range []string{"newName", "newTag", "digest", "tagSuffix"} {
			m.replace(value(n, key))
		}
	case "replicas":
		m.replace(value(n, "count"))
	case "operation":
		m.replaceLeaves(value(n, "value"))
	case "patches", "patchesstrategicmerge", "patchesjson6902":
		if o.patch != nil {
			m.file, m.inside = o.patch.file, o.patch.inside
			m.replacePatch(resolved(o.patch.doc.Content[0]))
		}
	case "components", "replacements", "transformers":
	default:
		m.replace(n)
	}
	if len(m.nodes) == 0 {
		return nil
	}
	return m
}

// replacePatch replaces the values of a patch: those of its operations, or those that it merges.
func (m *mutation) replacePatch(root *yaml.Node) {
	if root.Kind != yaml.SequenceNode {
		m.replaceMerged(root, true)
		return
	}
	for _, op := range root.Content {
		m.replaceLeaves(value(op, "value"))
	}
}

// identity are keys that select what a merge applies to.
var identity = map[string]bool{
	"name": true, "$patch": true, "containerPort": true, "port": true, "protocol": true, "mountPath": true,
	"devicePath": true, "topologyKey": true, "type": true, "key": true, "ip": true,
}

// replaceMerged replaces the values of a strategic merge patch, but not what selects the object or a list's
// item.
func (m *mutation) replaceMerged(n *yaml.Node, top bool) {
	switch n = resolved(n); n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			m.replaceMerged(c, false)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i].Value, resolved(n.Content[i+1])
			switch {
			case top && (k == "apiVersion" || k == "kind") || identity[k] && v.Kind == yaml.ScalarNode:
			case top && k == "metadata":
				m.replaceLeaves(value(v, "labels"))
				m.replaceLeaves(value(v, "annotations"))
			default:
				m.replaceMerged(v, false)
			}
		}
	default:
		m.replace(n)
	}
}

func (m *mutation) replaceLeaves(n *yaml.Node) {
	if n = resolved(n); n == nil {
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			m.replaceLeaves(c)
		}
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			m.replaceLeaves(n.Content[i])
		}
	default:
		m.replace(n)
	}
}

// replace gives a node another value of the same type.
func (m *mutation) replace(n *yaml.Node) {
	if n == nil {
		return
	}
	r := resolved(n)
	other := quoted(r.Value+"x", r.Line)
	switch tag := r.ShortTag(); {
	case r.Kind == yaml.SequenceNode:
		other = withMore(r, 1)
	case r.Kind == yaml.MappingNode:
		other = withMore(r, 2)
	case tag == "!!bool":
		opposite := map[bool]string{true: "false", false: "true"}[strings.EqualFold(r.Value, "true")]
		other = &yaml.Node{Kind: yaml.ScalarNode, Value: opposite, Line: r.Line}
	case tag == "!!int" || tag == "!!float":
		other = &yaml.Node{Kind: yaml.ScalarNode, Value: "7" + r.Value, Line: r.Line}
	case strings.HasPrefix(r.Value, "sha256:"):
		other = &yaml.Node{Kind: yaml.ScalarNode, Value: "sha256:" + strings.Repeat("5", 64), Line: r.Line}
	}
	m.nodes[n] = other
}

// withMore is a list with one more item, or a mapping with one more key and value.
func withMore(n *yaml.Node, nodes int) *yaml.Node {
	more := *n
	more.Content = append([]*yaml.Node{}, n.Content...)
	for range nodes {
		more.Content = append(more.Content, quoted("x", n.Line))
	}
	return &more
}

func quoted(value string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: value, Line: line}
}
