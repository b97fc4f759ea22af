package kustomize

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// pairs visits a mapping, with its merge keys. Its depth has been checked before.
func pairs(n *yaml.Node, visit func(k, v *yaml.Node)) {
	n = resolve(n)
	if n == nil {
		return
	}
	if n.Kind == yaml.SequenceNode { // a list of mappings to merge
		for _, c := range n.Content {
			if resolve(c).Kind == yaml.MappingNode {
				pairs(c, visit)
			}
		}
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		if k.ShortTag() == "!!merge" {
			pairs(v, visit)
		} else {
			visit(k, v)
		}
	}
}

func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < 100; i++ {
		n = n.Alias
	}
	return n
}

// find is the value of a key of a mapping. Keys of kustomizations may be written in any case.
func find(n *yaml.Node, key string) *yaml.Node {
	var found *yaml.Node
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	pairs(n, func(k, v *yaml.Node) {
		if strings.EqualFold(k.Value, key) {
			found = v
		}
	})
	return found
}

// deep finds a key anywhere below a node.
func deep(n *yaml.Node, key string) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == key {
			return c
		}
		if found := deep(c, key); found != nil {
			return found
		}
	}
	return nil
}

// pathNode finds the scalar that names a file, alone or as key=file.
func pathNode(n *yaml.Node, file string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n = resolve(n); n.Kind == yaml.ScalarNode && (n.Value == file || strings.HasSuffix(n.Value, "="+file)) {
		return n
	}
	for _, c := range n.Content {
		if found := pathNode(c, file); found != nil {
			return found
		}
	}
	return nil
}
