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

// LineError is why a line cannot be edited.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

func atLine(n *yaml.Node, err error) error { return &LineError{n.Line, err} }

// Set returns the edit that gives the scalar at a path another value and keeps its quotes. A number in the
// path is an index of a list. Of several documents it edits the last that has the path. An alias is replaced
// by the value, and a value that comes from a merge is stated beside the merge. What Shared names is edited
// where it is written, and changes elsewhere too.
func Set(file string, text []byte, path []string, value string) (finding.Edit, error) {
	places, err := placesAt(text, path)
	if err != nil {
		return finding.Edit{}, err
	}
	p := places[len(places)-1]
	if p.merge != nil {
		return addAfter(file, text, path[:len(path)-1], "<<", pair{path[len(path)-1], value})
	}
	e := finding.Edit{File: file}
	e.Start, e.End, e.New, err = p.replacement(text, value)
	if err == nil {
		err = verify(text, e, path, value)
	} else {
		err = atLine(p.node, err)
	}
	if err != nil && isBlock(p.node) {
		if e, err = unblock(file, text, p.node, value); err == nil {
			err = verify(text, e, path, value)
		}
	}
	return e, err
}

// replacement returns what to write where in place of a scalar or an alias.
func (p place) replacement(text []byte, value string) (start, end int, said string, err error) {
	n := p.node
	if isBlock(n) {
		start, end, err = blockLine(text, n)
		return start, end, value, err
	}
	if start, end, err = span(text, n); err != nil {
		return 0, 0, "", err
	}
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
	return start, end, said, nil
}

// pair is a key with its new value.
type pair struct{ key, value string }

// addAfter returns the edit that adds keys to a mapping, below an existing one.
func addAfter(file string, text []byte, path []string, key string, more ...pair) (finding.Edit, error) {
	places, err := placesAt(text, path)
	if err != nil {
		return finding.Edit{}, err
	}
	m := target(places[len(places)-1].node)
	k, v := child(m, key)
	if v == nil {
		return finding.Edit{}, atLine(m, fmt.Errorf("key %s not found", key))
	}
	end, err := endOf(text, v)
	if err != nil {
		return finding.Edit{}, atLine(v, err)
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

// verify reads the edited text. It fails where the edit does not have the intended result.
func verify(text []byte, e finding.Edit, path []string, value string) error {
	after, _ := finding.Apply(text, []finding.Edit{e})
	n, err := at(after, path)
	if err != nil {
		return err
	}
	if n.Value != value || n.ShortTag() != "!!str" {
		return atLine(n, errors.New("cannot be edited without reformatting the file"))
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

// at returns the node at a path of the last document that has it, behind aliases and merges.
func at(text []byte, path []string) (*yaml.Node, error) {
	places, err := placesAt(text, path)
	if err != nil {
		return nil, err
	}
	return target(places[len(places)-1].node), nil
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

// span returns the position of a scalar on one line, with its quotes, without its anchor and tag, or of an
// alias.
func span(text []byte, n *yaml.Node) (start, end int, err error) {
	if n.Kind == yaml.AliasNode {
		start, ok := offset(text, n)
		if !ok || !bytes.HasPrefix(text[start:], []byte("*"+n.Value)) {
			return 0, 0, errNotOneLine
		}
		return start, start + len("*"+n.Value), nil
	}
	if n.Kind != yaml.ScalarNode || isBlock(n) {
		return 0, 0, errNotOneLine
	}
	start, ok := offset(text, n)
	if !ok {
		return 0, 0, errNotOneLine
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

// offset returns where a node begins, behind its anchor and tag. Its column does not count a byte order mark.
func offset(text []byte, n *yaml.Node) (int, bool) {
	column := n.Column
	if n.Line == 1 && bytes.HasPrefix(text, []byte(mark)) {
		column++
	}
	start, ok := finding.Offset(text, n.Line, column)
	if !ok || start > len(text) {
		return 0, false
	}
	for start < len(text) && (text[start] == '&' || text[start] == '!') {
		start += max(0, bytes.IndexAny(append(text[start:len(text):len(text)], '\n'), " \r\n"))
		start += len(text[start:]) - len(bytes.TrimLeft(text[start:], " "))
	}
	return start, true
}

// mark is UTF-8's byte order mark.
const mark = "\ufeff"

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

// booleans are the strings that some YAML parsers read as booleans.
var booleans = []string{"y", "n", "yes", "no", "on", "off", "true", "false"}

// scalar returns a string as a YAML scalar, in quotes where it would be read as another type.
func scalar(value string) string {
	var plain, flow []yaml.Node
	if yaml.Unmarshal([]byte("- "+value), &plain) == nil && yaml.Unmarshal([]byte("["+value+"]"),
		&flow) == nil &&
		len(plain) == 1 && len(flow) == 1 && plain[0].Value == value && flow[0].Value == value &&
		plain[0].ShortTag() == "!!str" &&
		plain[0].Style == 0 && !slices.Contains(booleans, strings.ToLower(value)) {
		return value
	}
	return strconv.Quote(value)
}
