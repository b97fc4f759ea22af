package promote

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
)

// insert returns the edit that adds keys below a path, of which the file may have a part. It fails where a
// part of the path has another kind of value, or is shared.
func insert(file string, text []byte, path []string, more ...pair) (e finding.Edit, err error) {
	e.File = file
	docs, err := documents(text)
	if err != nil {
		return e, err
	}
	last := more[len(more)-1]
	check := func(e finding.Edit) (finding.Edit, error) {
		e.End = max(e.Start, e.End)
		return e, verify(text, e, append(slices.Clone(path), last.key), last.value)
	}
	if len(docs) == 0 || docs[0].ShortTag() == "!!null" {
		e.Start, e.New = len(text), nested(newline(text), 0, 2, path, more)
		if e.New = strings.TrimPrefix(e.New, newline(text)) + newline(text); len(text) > 0 && !endsLine(text) {
			e.New = newline(text) + e.New
		}
		return check(e)
	}
	m, depth := docs[len(docs)-1], 0
	for ; depth < len(path); depth++ {
		_, below := child(m, path[depth])
		if below == nil {
			break
		}
		if err := Shared(text, path[:depth+1]); err != nil {
			return e, err
		}
		m = below
	}
	switch {
	case m.Kind != yaml.MappingNode:
		return e, atLine(m, fmt.Errorf("%s is not a mapping", strings.Join(path[:depth], ".")))
	case m.Style&yaml.FlowStyle != 0:
		e.Start, err = flowEnd(text, m)
		e.New = flowNested(path[depth:], more)
		if err == nil && len(m.Content) > 0 {
			e.Start, err = endOf(text, m.Content[len(m.Content)-1])
			e.New = ", " + e.New
		}
	case len(m.Content) == 0:
		return e, atLine(m, errors.New("the mapping is empty"))
	default:
		e.Start, err = endOf(text, m.Content[len(m.Content)-1])
		e.Start += lineEnd(text[min(e.Start, len(text)):])
		e.New = nested(newline(text), m.Content[0].Column-1, unit(docs), path[depth:], more)
	}
	if err != nil {
		return e, atLine(m, err)
	}
	return check(e)
}

func endsLine(text []byte) bool { return bytes.HasSuffix(text, []byte("\n")) }

// unit is how far a file indents a mapping in another.
func unit(docs []*yaml.Node) int {
	for _, doc := range docs {
		for i := 1; doc.Kind == yaml.MappingNode && i < len(doc.Content); i += 2 {
			below := doc.Content[i]
			if below.Kind == yaml.MappingNode && below.Style&yaml.FlowStyle == 0 && len(below.Content) > 0 {
				return max(1, below.Content[0].Column-doc.Content[i-1].Column)
			}
		}
	}
	return 2
}

// nested is keys in mappings of their own, in block style, each on a new line.
func nested(nl string, indent, unit int, above []string, more []pair) string {
	text := ""
	for _, key := range above {
		text += nl + strings.Repeat(" ", indent) + scalar(key) + ":"
		indent += unit
	}
	for _, p := range more {
		text += nl + strings.Repeat(" ", indent) + scalar(p.key) + ": " + scalar(p.value)
	}
	return text
}

// flowNested is nested in flow style.
func flowNested(above []string, more []pair) string {
	text := strings.TrimSuffix(strings.TrimPrefix(flowItem(more), "{"), "}")
	for _, key := range slices.Backward(above) {
		text = scalar(key) + ": {" + text + "}"
	}
	return text
}
