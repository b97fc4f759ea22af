package kustomize

import (
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// reach visits what stands at a path of fields, as the library's filters find it: lists on the way are
// gone through. It gives up, and says false, where they would stumble over something or change
// something on their way, or where visit does.
func reach(n *yaml.Node, path []string, visit func(*yaml.Node) bool) bool {
	if len(path) == 0 {
		return visit(n)
	}
	if n == nil || n.Tag == kyaml.NodeTagNull {
		return true
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if !reach(c, path, visit) {
				return false
			}
		}
		return true
	case yaml.MappingNode:
		field, list := strings.CutSuffix(path[0], "[]")
		if field == "" || strings.ContainsAny(field[:1], "-[*0123456789") {
			return false
		}
		v := mapped(n, field)
		if v == nil {
			return true
		}
		if list && v.Tag == kyaml.NodeTagNull {
			return false
		}
		return reach(v, path[1:], visit)
	}
	return false
}
