package object

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Written returns how a file spells a number or a boolean: 1.50, 0644, yes. It looks for v among the scalars
// of a node. It returns an empty text where v is spelled as usual, where the node does not have it, and where
// it has it twice.
func Written(n *yaml.Node, v any) string {
	if n == nil {
		return ""
	}
	if f, ok := v.(bool); ok {
		return only(scalars(n, 0), fmt.Sprint(f), func(x any) bool { return x == f })
	}
	if _, ok := asFloat(v); ok {
		return only(scalars(n, 0), elementValue(v), func(x any) bool { return same(x, v) })
	}
	return ""
}

// scalars are the plain scalars of a node, keys of mappings excepted.
func scalars(n *yaml.Node, depth int) (all []*yaml.Node) {
	n = resolve(n)
	switch {
	case depth > maxDepth:
	case n.Kind == yaml.ScalarNode && n.Style == 0:
		all = append(all, n)
	case n.Kind == yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			all = append(all, scalars(n.Content[i], depth+1)...)
		}
	default:
		for _, c := range n.Content {
			all = append(all, scalars(c, depth+1)...)
		}
	}
	return all
}

// only returns the text of the one scalar that means a value, unless it is the usual one.
func only(nodes []*yaml.Node, usual string, means func(any) bool) string {
	nodes = slices.DeleteFunc(nodes, func(n *yaml.Node) bool {
		v, err := (&decoder{}).scalar(n)
		var other any // 0o17 is a number for Kustomize, and text for kubectl
		return (err != nil || !means(v)) && (n.Decode(&other) != nil || !means(other))
	})
	if len(nodes) != 1 || nodes[0].Value == usual {
		return ""
	}
	return nodes[0].Value
}
