package kustomize

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// item is one object of a text, with its line.
type item struct {
	node *yaml.Node
	line int
}

// separator is the end of a document for the library.
var separator = regexp.MustCompile(`\n---.*\n`)

// parse reads a text like a file of resources.
func parse(text []byte, file string) ([]*resource.Resource, []object.Origin, error) {
	items, err := documents(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err == nil {
		items, err = expand(items)
	}
	if err != nil {
		return nil, nil, syntaxError(text, file, err)
	}
	var list []*resource.Resource
	var origins []object.Origin
	for _, it := range items {
		list = append(list, &resource.Resource{RNode: *kyaml.NewRNode(it.node)})
		origins = append(origins, object.Origin{File: file, Line: it.line})
	}
	return list, origins, nil
}

func documents(text string) ([]item, error) {
	cuts := separator.FindAllStringIndex(text, -1)
	var items []item
	begin, line := 0, 0
	for i := 0; i <= len(cuts) && text != ""; i++ {
		end := len(text)
		if i < len(cuts) {
			end = cuts[i][0] + 1
			rest := strings.TrimSpace(text[cuts[i][0]+4 : cuts[i][1]])
			if rest != "" && rest[0] != '#' {
				return nil, &lineError{line + strings.Count(text[begin:end], "\n") + 1, "invalid document separator"}
			}
		}
		n, err := document(text[begin:end])
		if err != nil {
			return nil, err
		}
		switch {
		case n == nil:
		case len(cuts) == 0 && isList(n):
			for _, c := range mapped(n, "items").Content {
				items = append(items, item{c, c.Line})
			}
		default:
			items = append(items, item{n, line + n.Line})
		}
		if i < len(cuts) {
			line += strings.Count(text[begin:cuts[i][1]], "\n")
			begin = cuts[i][1]
		}
	}
	return items, nil
}

// lineError is an error in a text that is valid YAML.
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

// document reads one document and resolves its aliases.
func document(text string) (*yaml.Node, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(strings.NewReader(text)).Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && kyaml.IsYNodeEmptyDoc(&doc) {
		return nil, nil
	}
	if err == nil {
		err = object.CheckNode(&doc, "")
	}
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(text, "&*") || strings.Contains(text, "<<") {
		rn := kyaml.NewRNode(&doc)
		if err := rn.DeAnchor(); err != nil {
			return nil, err
		}
	}
	return doc.Content[0], nil
}

// isList reports whether the library replaces a single document by its items.
func isList(n *yaml.Node) bool {
	kind := mapped(n, "kind")
	return kind != nil && (kind.Value == "List" || kind.Value == "ResourceList") && mapped(n, "items") != nil
}

// expand moves the items of lists to the end and drops empty objects.
func expand(queue []item) ([]item, error) {
	var items []item
	for len(queue) > 0 {
		it := queue[0]
		queue = queue[1:]
		if kyaml.IsYNodeNilOrEmpty(it.node) {
			continue
		}
		if err := valid(it.node); err != nil {
			return nil, &lineError{it.line, err.Error()}
		}
		list := mapped(it.node, "items")
		if list == nil || !strings.HasSuffix(mapped(it.node, "kind").Value, "List") {
			items = append(items, it)
			continue
		}
		if list.ShortTag() != "!!null" && list.Kind != yaml.SequenceNode {
			return nil, &lineError{it.line, "items must be a list"}
		}
		for _, c := range list.Content {
			queue = append(queue, item{c, it.line + c.Line - it.node.Line})
		}
	}
	return items, nil
}

// valid returns an error where a node is not an object.
func valid(n *yaml.Node) error {
	m, err := kyaml.NewRNode(n).GetMeta()
	switch {
	case err != nil:
		return errors.New("an object without apiVersion, kind and metadata.name")
	case m.Kind == "":
		return errors.New("an object without kind")
	case m.Name == "" && !strings.HasSuffix(m.Kind, "List"):
		return fmt.Errorf("%s without metadata.name", m.Kind)
	}
	return nil
}

// mapped is the value of a mapping's key.
func mapped(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
