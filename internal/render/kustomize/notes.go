package kustomize

import (
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// The library notes at each resource, in annotations, what it was called and what was put to its name.
// Ours are the same notes, put there in less time.

// remember notes what a resource is called, before that changes.
func remember(r *resource.Resource) {
	id := r.CurId()
	note(r, "previousNames", id.Name)
	note(r, "previousNamespaces", id.EffectiveNamespace())
	note(r, "previousKinds", id.Kind)
}

// note adds to a list in an annotation.
func note(r *resource.Resource, name, value string) {
	if value == "" {
		return
	}
	list := child(child(r.YNode(), "metadata"), "annotations")
	name = konfig.ConfigAnnoDomain + "/" + name
	if have := mapped(list, name); have != nil {
		value = have.Value + "," + value
	}
	put(list, name, value, yaml.SingleQuotedStyle)
}

// child is a mapping in a mapping, made where there is none.
func child(n *yaml.Node, name string) *yaml.Node {
	c := mapped(n, name)
	if c == nil {
		c = &yaml.Node{}
		n.Content = append(n.Content, key(name), c)
	}
	if len(c.Content) == 0 {
		*c = yaml.Node{Kind: yaml.MappingNode}
	}
	return c
}

// setAnnotations replaces all annotations, or removes them.
func setAnnotations(r *resource.Resource, annotations map[string]string) {
	meta := child(r.YNode(), "metadata")
	for i := 0; i+1 < len(meta.Content); i += 2 {
		if meta.Content[i].Value == "annotations" {
			meta.Content = append(meta.Content[:i:i], meta.Content[i+2:]...)
			break
		}
	}
	if len(annotations) == 0 {
		return
	}
	list := child(meta, "annotations")
	for _, k := range sortedKeys(annotations) {
		v := kyaml.NewStringRNode(annotations[k]).YNode()
		if !strings.Contains(v.Value, "\n") {
			v.Style = styleOf(v.Value)
		}
		list.Content = append(list.Content, key(k), v)
	}
}
