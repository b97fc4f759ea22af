package kustomize

import (
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// reach visits the nodes at a path of fields, as the library's field filter does, and goes through lists on
// the way. It returns false where that filter would fail, or the visit does.
func reach(n *yaml.Node, path []string, visit func(*yaml.Node) bool) bool {
	switch {
	case len(path) == 0:
		return visit(n)
	case n.Tag == kyaml.NodeTagNull:
		return true
	case n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			if !reach(c, path, visit) {
				return false
			}
		}
		return true
	case n.Kind != yaml.MappingNode:
		return false
	}
	name, list := strings.CutSuffix(path[0], "[]")
	if name == "" || strings.ContainsAny(name[:1], "-[*+ ") || kyaml.IsIdxNumber(name) {
		return false
	}
	v := mapped(n, name)
	if v == nil {
		return true
	}
	if list && v.Tag == kyaml.NodeTagNull {
		v.Kind, v.Tag = yaml.SequenceNode, ""
	}
	return reach(v, path[1:], visit)
}

func key(name string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: name} }
