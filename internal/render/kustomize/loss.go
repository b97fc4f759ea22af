package kustomize

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// mergePatch is a strategic merge patch with the place of its lines.
type mergePatch struct {
	*resource.Resource
	entry entry // that has the patch, or names its file
	place func(line int) object.Origin
}

// placed adds the places to patches that were read from a file, or from the text of an entry.
func placed(list []*resource.Resource, origins []object.Origin, file string, text *yaml.Node,
	at entry) []mergePatch {
	patches := make([]mergePatch, len(list))
	for i, r := range list {
		before := origins[i].Line - r.YNode().Line
		patches[i] = mergePatch{r, at, func(line int) object.Origin {
			switch {
			case file != at.at.File:
				return object.Origin{File: file, Line: before + line}
			case text == nil || text.Style != yaml.LiteralStyle:
				return at.at
			}
			return object.Origin{File: file, Line: text.Line + before + line}
		}}
	}
	return patches
}

// applyMerge merges fit into a resource, and notes what gets lost of either. Fit is the patch, made to fit.
func applyMerge(m *resources, r, fit *resource.Resource, patch mergePatch) error {
	c := comparison{patch: patch, ref: refOf(r.CurId()), at: m.origins[r]}
	before, _ := copyNode(r.YNode())
	kind := kyaml.TypeMeta{APIVersion: r.GetApiVersion(), Kind: r.GetKind()}
	about := about(m, r)
	isBystander := m.isBystander(r)
	if isBystander {
		fit.SetYNode(nameAndLabels(fit.YNode()))
	}
	if err := r.ApplySmPatch(fit); err != nil {
		return about(err)
	}
	if r.IsNilOrEmpty() || isBystander {
		return nil
	}
	s := openapi.SchemaForResourceType(kind)
	c.compare("", s, before, patch.YNode(), r.YNode())
	c.inPatch = true
	c.compare("", s, patch.YNode(), nil, r.YNode())
	m.losses = append(m.losses, c.losses...)
	return nil
}

// comparison looks in the result of a merge for what a resource or its patch had.
type comparison struct {
	patch   mergePatch
	ref     object.Ref
	at      object.Origin // of the resource
	inPatch bool          // the nodes are of the patch
	losses  []object.Loss
}

// compare looks for a node in the node that is its result. Patch is what is merged into the node, if known.
func (c *comparison) compare(path string, s *openapi.ResourceSchema, node, patch, result *yaml.Node) {
	if result == nil || node.Kind != result.Kind || directive(patch) != "" {
		return
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			below := strings.TrimPrefix(path+"."+key, ".")
			if left := mapped(result, key); c.inPatch && node.Content[i+1].ShortTag() == "!!null" &&
				left != nil && left.ShortTag() != "!!null" {
				c.losses = append(c.losses, object.Loss{
					Kind: object.NullText, Origin: c.patch.place(node.Content[i].Line),
					Text: fmt.Sprintf("the patch of %s %s does not remove %s: its value is now the text %q",
						c.ref.Kind, c.ref.Name, below, left.Value),
				})
			}
			c.compare(below, fieldOf(s, key), node.Content[i+1], mapped(patch, key), mapped(result, key))
		}
	case yaml.SequenceNode:
		if keys := mergeKeys(s); len(keys) > 0 {
			c.compareList(path, s.Elements(), keys, node, patch, result)
		}
	}
}

func (c *comparison) compareList(path string, s *openapi.ResourceSchema, keys []string,
	node, patch, result *yaml.Node) {
	rivals := slices.Clone(node.Content)
	if patch != nil && patch.Kind == yaml.SequenceNode {
		if slices.ContainsFunc(patch.Content, func(e *yaml.Node) bool { return directive(e) == "replace" }) {
			return
		}
		for _, e := range patch.Content {
			// An element of the same key is meant to change this one.
			changes := func(o *yaml.Node) bool { return identity(o, keys) == identity(e, keys) }
			if directive(e) == "" && !slices.ContainsFunc(node.Content, changes) {
				rivals = append(rivals, e)
			}
		}
	}
	for _, e := range node.Content {
		left := withKeys(result, e, keys)
		if left == nil || directive(e) != "" {
			continue
		}
		isRival := func(o *yaml.Node) bool { return o != e && sameKeys(o, e, keys) }
		dropped := slices.ContainsFunc(rivals, isRival)
		if !dropped {
			before := len(c.losses)
			c.compare(path+"["+valueAt(e, keys[0])+"]", s, e, withKeys(patch, e, keys), left)
			dropped = c.inPatch && len(c.losses) == before
		}
		if dropped && !slices.ContainsFunc(result.Content, func(o *yaml.Node) bool { return holds(o, e) }) {
			c.lose(path, keys, e)
		}
	}
}

// lose notes the loss of an element.
func (c *comparison) lose(path string, keys []string, e *yaml.Node) {
	var parts []string
	for _, key := range append([]string{"name"}, keys...) {
		if v := valueAt(e, key); v != "" && !slices.Contains(parts, key+": "+v) {
			parts = append(parts, key+": "+v)
		}
	}
	l := object.Loss{Kind: object.LostElement, Origin: c.patch.place(c.patch.YNode().Line)}
	from := ""
	if c.inPatch {
		l.Origin = c.patch.place(e.Line)
	} else {
		from = fmt.Sprintf(" of %s", c.at)
	}
	l.Text = fmt.Sprintf("the patch of %s %s drops {%s}%s from %s: a merge keeps one element for each %s",
		c.ref.Kind, c.ref.Name, strings.Join(parts, ", "), from, path, strings.Join(keys, " and "))
	c.losses = append(c.losses, l)
}

func fieldOf(s *openapi.ResourceSchema, key string) *openapi.ResourceSchema {
	if s == nil {
		return nil
	}
	return s.Field(key)
}

// mergeKeys are the keys by which a list is merged; none: it is replaced.
func mergeKeys(s *openapi.ResourceSchema) []string {
	if s == nil {
		return nil
	}
	strategy, keys := s.PatchStrategyAndKeyList()
	if !strings.Contains(strategy, "merge") {
		return nil
	}
	return keys
}

// directive is what $patch says in a node.
func directive(n *yaml.Node) string { return valueAt(n, "$patch") }

func valueAt(n *yaml.Node, key string) string {
	if v := mapped(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// withKeys is the first element of a list that a merge takes for e.
func withKeys(list, e *yaml.Node, keys []string) *yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	for _, o := range list.Content {
		if sameKeys(o, e, keys) {
			return o
		}
	}
	return nil
}

// sameKeys reports whether a merge takes two elements for one: a missing key equals any.
func sameKeys(a, b *yaml.Node, keys []string) bool {
	same := false
	for _, key := range keys {
		v, w := valueAt(a, key), valueAt(b, key)
		if v != w && v != "" && w != "" {
			return false
		}
		same = same || v == w && v != ""
	}
	return same
}

// identity is what the API server tells elements apart by.
func identity(e *yaml.Node, keys []string) string {
	var values []string
	for _, key := range keys {
		v := valueAt(e, key)
		if v == "" && key == "protocol" {
			v = "TCP"
		}
		values = append(values, v)
	}
	return strings.Join(values, "\x00")
}

// holds reports whether a node has all that another one has, directives of a patch aside.
func holds(n, what *yaml.Node) bool {
	if what.Kind != n.Kind {
		return what.ShortTag() == "!!null"
	}
	switch what.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(what.Content); i += 2 {
			key, v := what.Content[i].Value, what.Content[i+1]
			if strings.HasPrefix(key, "$") {
				continue
			}
			if below := mapped(n, key); below == nil && v.ShortTag() != "!!null" || below != nil && !holds(below, v) {
				return false
			}
		}
		return true
	case yaml.SequenceNode:
		for _, e := range what.Content {
			isHeld := func(o *yaml.Node) bool { return holds(o, e) }
			if directive(e) == "" && !slices.ContainsFunc(n.Content, isHeld) {
				return false
			}
		}
		return true
	}
	return n.Value == what.Value
}
