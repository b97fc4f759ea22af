package promote

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
)

// addItem returns the edit that adds a mapping at the end of a list, and the list if it does not exist. It
// writes both as the file writes its lists.
func addItem(file string, text []byte, key string, more ...pair) (e finding.Edit, err error) {
	index := 0
	list, missing := at(text, []string{key})
	if missing == nil {
		if err := Shared(text, []string{key}); err != nil {
			return e, err
		}
		index = len(list.Content)
	}
	switch {
	case missing != nil:
		e, err = addList(text, key, more)
	case list.Kind == yaml.ScalarNode && list.ShortTag() == "!!null":
		e, err = fillNull(text, list, more)
	case list.Kind != yaml.SequenceNode:
		return e, atLine(list, fmt.Errorf("%s is not a list", key))
	case list.Style&yaml.FlowStyle != 0:
		e, err = addFlowItem(text, list, more)
	default:
		e, err = addBlockItem(text, list, more)
	}
	if err != nil {
		return e, err
	}
	e.File, e.End = file, max(e.Start, e.End)
	last := more[len(more)-1]
	return e, verify(text, e, []string{key, strconv.Itoa(index), last.key}, last.value)
}

// addList adds a list at the end of the file's mapping.
func addList(text []byte, key string, more []pair) (e finding.Edit, err error) {
	docs, err := documents(text)
	if err != nil {
		return e, err
	}
	if len(docs) > 0 && docs[len(docs)-1].Style&yaml.FlowStyle != 0 {
		top := docs[len(docs)-1]
		if e.Start, err = flowEnd(text, top); err != nil {
			return e, atLine(top, err)
		}
		e.New = key + ": [" + flowItem(more) + "]"
		if len(top.Content) > 0 {
			e.Start, err = endOf(text, top.Content[len(top.Content)-1])
			e.New = ", " + e.New
		}
		return e, err
	}
	nl := newline(text)
	e.Start = len(text)
	e.New = key + ":" + blockItem(nl, indentOf(docs), more)
	if bytes.HasSuffix(text, []byte("\n")) {
		e.New += nl
	} else if len(text) > 0 {
		e.New = nl + e.New
	}
	return e, nil
}

// fillNull writes a list where its key has no value.
func fillNull(text []byte, n *yaml.Node, more []pair) (e finding.Edit, err error) {
	start, end, err := span(text, n)
	if err != nil {
		return e, atLine(n, err)
	}
	docs, err := documents(text)
	if err != nil {
		return e, err
	}
	if n.Value != "" { // null or ~
		return finding.Edit{Start: start, End: end, New: "[" + flowItem(more) + "]"}, nil
	}
	if docs[len(docs)-1].Style&yaml.FlowStyle != 0 {
		return finding.Edit{Start: start, New: " [" + flowItem(more) + "]"}, nil
	}
	e.Start = start + lineEnd(text[start:])
	e.New = blockItem(newline(text), indentOf(docs), more)
	return e, nil
}

// addFlowItem adds an item in flow style.
func addFlowItem(text []byte, list *yaml.Node, more []pair) (e finding.Edit, err error) {
	e.New = flowItem(more)
	if len(list.Content) == 0 {
		e.Start, err = flowEnd(text, list)
	} else {
		last := list.Content[len(list.Content)-1]
		if last.Kind != yaml.MappingNode {
			return e, atLine(last, errors.New("not a mapping"))
		}
		e.Start, err = endOf(text, last)
		e.New = ", " + e.New
	}
	if err != nil {
		return e, atLine(list, err)
	}
	return e, nil
}

func flowItem(more []pair) string {
	var parts []string
	for _, p := range more {
		parts = append(parts, p.key+": "+scalar(p.value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// addBlockItem adds an item below the last one, as far from its dash.
func addBlockItem(text []byte, list *yaml.Node, more []pair) (e finding.Edit, err error) {
	last := list.Content[len(list.Content)-1]
	if last.Kind != yaml.MappingNode || len(last.Content) == 0 {
		return e, atLine(last, errors.New("not a mapping"))
	}
	end, err := endOf(text, last)
	if err != nil {
		return e, atLine(last, err)
	}
	in := indentation{list.Column - 1, last.Column - list.Column}
	e.Start, e.New = end+lineEnd(text[end:]), blockItem(newline(text), in, more)
	return e, nil
}

// indentation is how a file indents the items of its lists.
type indentation struct {
	list int // columns before the dash
	item int // columns from the dash to the item
}

// indentOf returns the indentation of the first list of mappings or texts that is a value of the file's
// mapping; without one, of most files.
func indentOf(docs []*yaml.Node) indentation {
	for _, doc := range docs {
		for i := 1; doc.Kind == yaml.MappingNode && i < len(doc.Content); i += 2 {
			list := doc.Content[i]
			isList := list.Kind == yaml.SequenceNode && list.Style&yaml.FlowStyle == 0 && len(list.Content) > 0
			if isList && list.Content[0].Line == list.Line {
				return indentation{list.Column - 1, list.Content[0].Column - list.Column}
			}
		}
	}
	return indentation{2, 2}
}

// blockItem returns an item in block style, on lines of its own.
func blockItem(nl string, in indentation, more []pair) string {
	text := ""
	for i, p := range more {
		lead := strings.Repeat(" ", max(2, in.item))
		if i == 0 {
			lead = "-" + lead[1:]
		}
		text += nl + strings.Repeat(" ", in.list) + lead + p.key + ": " + scalar(p.value)
	}
	return text
}
