package kustomize

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// bodyOf converts a resource to the value that the command prints. The library converts it to YAML, JSON and
// YAML again, and the result must be the same for odd scalars too.
func bodyOf(n *yaml.Node) (map[string]any, error) {
	v, err := valueOf(n, true, false)
	if err != nil {
		return nil, err
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("an object must be a mapping")
	}
	return body, nil
}

// valueOf converts a value. It tracks flow style, in which the library quotes more.
func valueOf(n *yaml.Node, top, flow bool) (any, error) {
	flow = flow || n.Style&yaml.FlowStyle != 0
	switch n.Kind {
	case yaml.AliasNode:
		return valueOf(n.Alias, top, flow)
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, err := keyOf(n.Content[i], top, flow)
			if err != nil {
				return nil, err
			}
			if _, twice := m[k]; twice {
				return nil, fmt.Errorf("duplicate key %q", k)
			}
			v, err := valueOf(n.Content[i+1], false, flow)
			if err != nil {
				return nil, err
			}
			m[k] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := valueOf(c, false, flow)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return scalarOf(n, flow)
}

// keyOf returns a key, which must be a string except at the top level.
func keyOf(n *yaml.Node, top, flow bool) (string, error) {
	if n.Kind == yaml.ScalarNode && n.Style&yaml.TaggedStyle == 0 && n.Value != "" && harmless(n.Value) {
		if tag := n.ShortTag(); tag == "!!str" || tag == "!!merge" || top && n.Tag == tag && tag != "!!null" {
			return n.Value, nil
		}
	}
	m, err := reparse(bare(n), &yaml.Node{Kind: yaml.ScalarNode, Value: "v"}, flow)
	if !top && err == nil {
		inner := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{bare(n),
			{Kind: yaml.ScalarNode, Value: "v"}}}
		m, _ = reparse(key("v"), inner, flow)
		m, _ = m["v"].(map[string]any)
	}
	for k := range m {
		return k, nil
	}
	return "", fmt.Errorf("key %s must be a string: write it in quotes", n.Value)
}

func scalarOf(n *yaml.Node, flow bool) (any, error) {
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch tag := n.ShortTag(); {
	case n.Kind == 0:
		return nil, nil
	case n.Style&yaml.TaggedStyle != 0 || n.Style&yaml.FoldedStyle != 0 && strings.Contains(n.Value, "\n"):
	case tag == "!!null" && !quoted && (!flow || n.Value != ""):
		return nil, nil
	case tag == "!!str" && (n.Tag != "" || !quoted) && harmless(n.Value):
		return n.Value, nil
	case n.Tag == "" && quoted && harmless(n.Value):
		return n.Value, nil
	case tag == "!!bool" && !quoted && (n.Value == "true" || n.Value == "false"):
		return n.Value == "true", nil
	case tag == "!!int" && !quoted:
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil && strconv.FormatInt(i, 10) == n.Value {
			return i, nil
		}
	}
	return roundTrip(n, flow)
}

// harmless reports whether a text survives being written and read, in every style but folded.
func harmless(s string) bool {
	if s == "" {
		return true
	}
	if s[0] <= ' ' || strings.ContainsAny(s[len(s)-1:], " \t") {
		return false
	}
	for i, r := range s {
		switch {
		case r == '\n':
			if strings.HasPrefix(s[i+1:], "\n") || s[i-1] == ' ' {
				return false
			}
		case r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff ||
			r == 0xfffd || r > 0xffff:
			return false
		}
	}
	return true
}

// roundTrip converts a scalar as the library does.
func roundTrip(n *yaml.Node, flow bool) (any, error) {
	m, err := reparse(key("v"), bare(n), flow)
	if err != nil {
		return nil, err
	}
	j, err := json.Marshal(m["v"])
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		return nil, err
	}
	if f, ok := v.(float64); ok {
		if i, err := strconv.ParseInt(string(j), 10, 64); err == nil {
			return i, nil
		}
		if math.IsInf(f, 0) {
			return nil, fmt.Errorf("%s is not a number", n.Value)
		}
	}
	return v, nil
}

// reparse writes and reads a mapping of one pair.
func reparse(k, v *yaml.Node, flow bool) (map[string]any, error) {
	m := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{k, v}}
	if flow {
		m.Style = yaml.FlowStyle
	}
	text, err := kyaml.String(m)
	if err != nil {
		return nil, err
	}
	var read map[string]any
	return read, kyaml.Unmarshal([]byte(text), &read)
}

// bare is a node without its comments.
func bare(n *yaml.Node) *yaml.Node {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment, c.Anchor = "", "", "", ""
	return &c
}

// resourceOf makes a resource of an object.
func resourceOf(o object.Object) *resource.Resource {
	return &resource.Resource{RNode: *kyaml.NewRNode(nodeOf(o.Body))}
}

func nodeOf(v any) *yaml.Node {
	switch v := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, k := range sortedKeys(v) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: k}, nodeOf(v[k]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, c := range v {
			n.Content = append(n.Content, nodeOf(c))
		}
		return n
	case string:
		n := &yaml.Node{}
		n.SetString(v)
		return n
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	case float64:
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(v, 'g', -1, 64)}
		n.Tag = n.ShortTag()
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
}
