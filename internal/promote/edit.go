// Package promote writes images into the files that an environment is rendered from, proves by rendering that
// nothing else changes, and commits and pushes the files. It changes no cluster.
package promote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
)

// Set returns the edit that gives the scalar at a path another value and keeps its quotes. A number in the
// path is an index of a list. Of several documents it edits the last that has the path. It fails where the
// value is not on one line.
func Set(file string, text []byte, path []string, value string) (finding.Edit, error) {
	n, err := at(text, path)
	if err != nil {
		return finding.Edit{}, err
	}
	start, end, err := span(text, n)
	if err != nil {
		return finding.Edit{}, fmt.Errorf("line %d: %w", n.Line, err)
	}
	said := value
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		said = strconv.Quote(value)
	case n.Style&yaml.SingleQuotedStyle != 0:
		said = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	default:
		said = scalar(value)
	}
	if start == end && start > 0 && text[start-1] == ':' {
		said = " " + said
	}
	e := finding.Edit{File: file, Start: start, End: end, New: said}
	return e, verify(text, e, path, value)
}

// pair is a key with its new value.
type pair struct{ key, value string }

// addAfter returns the edit that adds keys to a mapping, below an existing one.
func addAfter(file string, text []byte, path []string, key string, more ...pair) (finding.Edit, error) {
	m, err := at(text, path)
	if err != nil {
		return finding.Edit{}, err
	}
	k, v := child(m, key)
	if v == nil {
		return finding.Edit{}, fmt.Errorf("line %d: key %s not found", m.Line, key)
	}
	_, end, err := span(text, v)
	if err != nil {
		return finding.Edit{}, fmt.Errorf("line %d: %w", v.Line, err)
	}
	var b strings.Builder
	if m.Style&yaml.FlowStyle != 0 {
		for _, p := range more {
			b.WriteString(", " + p.key + ": " + scalar(p.value))
		}
	} else {
		end += lineEnd(text[end:])
		for _, p := range more {
			b.WriteString(newline(text) + strings.Repeat(" ", k.Column-1) + p.key + ": " + scalar(p.value))
		}
	}
	e := finding.Edit{File: file, Start: end, End: end, New: b.String()}
	last := more[len(more)-1]
	return e, verify(text, e, append(slices.Clone(path), last.key), last.value)
}

// addItem returns the edit that adds a mapping at the end of a list, and the list if it does not exist.
func addItem(file string, text []byte, key string, more ...pair) (finding.Edit, error) {
	nl, indent, index := newline(text), "  ", 0
	e := finding.Edit{File: file, Start: len(text), New: key + ":"}
	if list, err := at(text, []string{key}); err == nil {
		if index = len(list.Content); index == 0 || list.Kind != yaml.SequenceNode ||
			list.Style&yaml.FlowStyle != 0 {
			return e, fmt.Errorf("line %d: %s is not a list with one entry per line", list.Line, key)
		}
		last := list.Content[index-1]
		if len(last.Content) == 0 {
			return e, fmt.Errorf("line %d: not an entry of %s", last.Line, key)
		}
		_, end, err := span(text, last.Content[len(last.Content)-1])
		if err != nil {
			return e, fmt.Errorf("line %d: %w", last.Line, err)
		}
		e.Start, e.New, indent = end+lineEnd(text[end:]), "", strings.Repeat(" ", list.Column-1)
	} else if len(text) > 0 && text[len(text)-1] != '\n' {
		e.New = nl + e.New
	}
	for i, p := range more {
		e.New += nl + indent + []string{"- ", "  "}[min(i, 1)] + p.key + ": " + scalar(p.value)
	}
	if index == 0 && bytes.HasSuffix(text, []byte("\n")) {
		e.New += nl
	}
	e.End = e.Start
	last := more[len(more)-1]
	return e, verify(text, e, []string{key, strconv.Itoa(index), last.key}, last.value)
}

// verify reads the edited text. It fails where the edit does not have the intended result.
func verify(text []byte, e finding.Edit, path []string, value string) error {
	after, _ := finding.Apply(text, []finding.Edit{e})
	n, err := at(after, path)
	if err != nil {
		return err
	}
	if n.Value != value || n.ShortTag() != "!!str" {
		return fmt.Errorf("line %d: cannot be edited without reformatting the file", n.Line)
	}
	return nil
}

func documents(text []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, doc.Content[0])
	}
}

// at returns the node at a path. Behind an alias it is shared: rendering then proves whether the edit is
// safe.
func at(text []byte, path []string) (*yaml.Node, error) {
	docs, err := documents(text)
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Backward(docs) {
		for _, step := range path {
			i, convErr := strconv.Atoi(step)
			switch {
			case n == nil:
			case n.Kind == yaml.MappingNode:
				_, n = child(n, step)
			case n.Kind == yaml.SequenceNode && convErr == nil && i < len(n.Content):
				n = n.Content[i]
			default:
				n = nil
			}
			if n != nil && n.Kind == yaml.AliasNode {
				n = n.Alias
			}
		}
		if n != nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%s not found", strings.Join(path, "."))
}

func child(m *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

var errNotOneLine = errors.New("the value is not on one line")

// span returns the position of a scalar on one line, with its quotes, without its anchor and tag.
func span(text []byte, n *yaml.Node) (start, end int, err error) {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return 0, 0, errNotOneLine
	}
	start, ok := finding.Offset(text, n.Line, n.Column)
	if !ok {
		return 0, 0, errNotOneLine
	}
	for start < len(text) && (text[start] == '&' || text[start] == '!') {
		start += max(0, bytes.IndexAny(append(text[start:len(text):len(text)], '\n'), " \r\n"))
		start += len(text[start:]) - len(bytes.TrimLeft(text[start:], " "))
	}
	rest := text[start:]
	double := n.Style&yaml.DoubleQuotedStyle != 0
	if !double && n.Style&yaml.SingleQuotedStyle == 0 {
		if !bytes.HasPrefix(rest, []byte(n.Value)) {
			return 0, 0, errNotOneLine
		}
		return start, start + len(n.Value), nil
	}
	for i := 1; i < len(rest); i++ {
		switch {
		case double && rest[i] == '\\', !double && bytes.HasPrefix(rest[i:], []byte("''")):
			i++
		case rest[i] == rest[0]:
			return start, start + i + 1, nil
		}
	}
	return 0, 0, errNotOneLine
}

// lineEnd returns the length of the rest of the line, without its line break.
func lineEnd(rest []byte) int {
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return len(bytes.TrimSuffix(line, []byte("\r")))
}

func newline(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// words are the strings that some YAML parsers read as booleans.
var words = []string{"y", "n", "yes", "no", "on", "off", "true", "false"}

// scalar returns a string as a YAML scalar, in quotes where it would be read as another type.
func scalar(value string) string {
	var plain, flow []yaml.Node
	if yaml.Unmarshal([]byte("- "+value), &plain) == nil && yaml.Unmarshal([]byte("["+value+"]"),
		&flow) == nil &&
		len(plain) == 1 && len(flow) == 1 && plain[0].Value == value && flow[0].Value == value &&
		plain[0].ShortTag() == "!!str" &&
		plain[0].Style == 0 && !slices.Contains(words, strings.ToLower(value)) {
		return value
	}
	return strconv.Quote(value)
}
