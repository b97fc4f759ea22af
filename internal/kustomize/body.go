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

// bodyOf turns a resource into the value that the command prints. The library goes by way of YAML, JSON
// and YAML again for that, and what this makes of odd scalars is part of what has to be met.
func bodyOf(n *yaml.Node) (map[string]any, error) {
	v, err := valueOf(n, true)
	if err != nil {
		return nil, err
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("an object must be a mapping")
	}
	return body, nil
}

func valueOf(n *yaml.Node, top bool) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return valueOf(n.Alias, top)
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode || !top && !textual(k) {
				return nil, fmt.Errorf("key %s must be a string: write it in quotes", k.Value)
			}
			if _, twice := m[k.Value]; twice {
				return nil, fmt.Errorf("key %q is there twice", k.Value)
			}
			v, err := valueOf(n.Content[i+1], false)
			if err != nil {
				return nil, err
			}
			m[k.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := valueOf(c, false)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return scalarOf(n)
}

// textual says whether a key stays a string when it is written and read again.
func textual(n *yaml.Node) bool { return n.ShortTag() == "!!str" || n.ShortTag() == "!!merge" }

func scalarOf(n *yaml.Node) (any, error) {
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch tag := n.ShortTag(); {
	case n.Kind == 0 || tag == "!!null" && !quoted:
		return nil, nil
	case n.Style&yaml.TaggedStyle != 0:
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
	return roundTrip(n)
}

// harmless says whether a text comes back from being written as it was, in whatever style.
func harmless(s string) bool {
	if s == "" {
		return true
	}
	if s[0] <= ' ' || s[len(s)-1] == ' ' || s[len(s)-1] == '\t' {
		return false
	}
	line := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			if line++; i+1 < len(s) && s[i+1] == '\n' || i > 0 && s[i-1] == ' ' {
				return false
			}
		case c < ' ' && c != '\t' || c == 0x7f:
			return false
		case c >= 0x80:
			return printable(s)
		}
	}
	return true
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd || r >= 0xd800 && r < 0xe000 || r > 0xffff
	})
}

// roundTrip does with one scalar what the library does with all.
func roundTrip(n *yaml.Node) (any, error) {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment, c.Anchor = "", "", "", ""
	m := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "v"}, &c}}
	text, err := kyaml.String(m)
	if err != nil {
		return nil, err
	}
	var again map[string]any
	if err := kyaml.Unmarshal([]byte(text), &again); err != nil {
		return nil, err
	}
	j, err := json.Marshal(again["v"])
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
			return nil, fmt.Errorf("%s is no number", n.Value)
		}
	}
	return v, nil
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
			n.Content = append(n.Content, nodeOf(k), nodeOf(v[k]))
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
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(v, 'g', -1, 64)}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
}
