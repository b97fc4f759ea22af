package kustomize

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// fields is what is done at the end of a path of fields, as the library's field filter does it, only
// that it says false where that would stumble over something: what to do then is the caller's business.
type fields struct {
	create bool // what is missing
	kind   yaml.Kind
	tag    string
	do     func(*yaml.Node) bool
}

// reach visits what stands at a path.
func reach(n *yaml.Node, path []string, visit func(*yaml.Node) bool) bool {
	return fields{do: visit}.at(n, path)
}

// at follows a path. Lists on the way are gone through.
func (f fields) at(n *yaml.Node, path []string) bool {
	if len(path) == 0 {
		return f.do(n)
	}
	switch {
	case n.Tag == kyaml.NodeTagNull:
		return true
	case n.Kind == yaml.SequenceNode:
		for _, c := range n.Content {
			if !f.at(c, path) {
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
	kind, tag := yaml.MappingNode, kyaml.NodeTagMap
	if len(path) == 1 {
		kind, tag = f.kind, f.tag
	}
	if list {
		kind, tag = yaml.SequenceNode, ""
	}
	v := mapped(n, name)
	if v == nil {
		if !f.create || list {
			return true
		}
		v = &yaml.Node{Kind: kind}
		n.Content = append(n.Content, key(name), v)
	}
	if v.Tag == kyaml.NodeTagNull && (f.create || list) {
		v.Kind, v.Tag = kind, tag
	}
	return f.at(v, path[1:])
}

func key(name string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: name} }

// put sets an entry of a mapping to a string. What is there keeps its style.
func put(n *yaml.Node, name, value string, style yaml.Style) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	v := mapped(n, name)
	if v == nil {
		v = &yaml.Node{Style: style}
		n.Content = append(n.Content, key(name), v)
	}
	*v = yaml.Node{Kind: yaml.ScalarNode, Tag: kyaml.NodeTagString, Value: value, Style: v.Style}
	return true
}

// styleOf is the style that the library gives to a new string: quotes where YAML 1.1 would take it for
// something else.
func styleOf(s string) yaml.Style {
	if s == "" {
		return 0
	}
	letter := s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z'
	switch {
	case strings.Contains(s, ": ") || s[len(s)-1] == ':':
	case letter && len(s) <= len("false") && slices.Contains(words, strings.ToLower(s)):
		return yaml.DoubleQuotedStyle
	case letter || s[0] == '/' || s[0] >= '0' && s[0] <= '9' && strings.ContainsAny(s,
		"ghijklmnpqrsuvwyGHIJKLMNPQRSUVWY"):
		return 0
	}
	if kyaml.IsValueNonString(s) {
		return yaml.DoubleQuotedStyle
	}
	return 0
}

// words are those with a meaning of their own in YAML 1.1.
var words = []string{"y", "yes", "true", "on", "n", "no", "false", "off", "null"}
