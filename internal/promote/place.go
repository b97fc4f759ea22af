package promote

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
)

// place is what is at a path: a node, or an alias of one.
type place struct {
	node *yaml.Node
	// merge is the merge key's value that the node comes from; nil: it is written at the path itself.
	merge *yaml.Node
}

// maxSteps bounds aliases that stand for others.
const maxSteps = 100

// target returns the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < maxSteps; i++ {
		n = n.Alias
	}
	return n
}

// walk returns the places on the way to a path: the document's first, the path's last.
func walk(doc *yaml.Node, path []string) ([]place, error) {
	places := []place{{node: doc}}
	for _, step := range path {
		n := target(places[len(places)-1].node)
		i, err := strconv.Atoi(step)
		switch {
		case n.Kind == yaml.MappingNode:
			next := keyOf(n, step, 0)
			if next.node == nil {
				return nil, fmt.Errorf("%s not found", strings.Join(path, "."))
			}
			places = append(places, next)
		case n.Kind == yaml.SequenceNode && err == nil && i < len(n.Content):
			places = append(places, place{node: n.Content[i]})
		default:
			return nil, fmt.Errorf("%s not found", strings.Join(path, "."))
		}
	}
	return places, nil
}

// keyOf returns what a mapping has for a key, of its own or from a merge.
func keyOf(m *yaml.Node, key string, depth int) place {
	if _, v := child(m, key); v != nil {
		return place{node: v}
	}
	for i := 0; i+1 < len(m.Content) && depth < maxSteps; i += 2 {
		if m.Content[i].ShortTag() != "!!merge" {
			continue
		}
		merged := []*yaml.Node{target(m.Content[i+1])}
		if merged[0].Kind == yaml.SequenceNode {
			merged = merged[0].Content
		}
		for _, from := range merged {
			if from = target(from); from.Kind != yaml.MappingNode {
				continue
			}
			if v := keyOf(from, key, depth+1).node; v != nil {
				return place{v, m.Content[i+1]}
			}
		}
	}
	return place{}
}

// placesAt is walk in the last document that has the path.
func placesAt(text []byte, path []string) ([]place, error) {
	docs, err := documents(text)
	if err != nil {
		return nil, err
	}
	for _, doc := range slices.Backward(docs) {
		if places, err := walk(doc, path); err == nil {
			return places, nil
		}
	}
	return nil, fmt.Errorf("%s not found", strings.Join(path, "."))
}

// Shared returns a *LineError where Set would change another place of the file too: behind an alias or a
// merge, or at an anchor that an alias uses.
func Shared(text []byte, path []string) error {
	places, err := placesAt(text, path)
	if err != nil {
		return err
	}
	for i, p := range places {
		n, isLast := p.node, i == len(places)-1
		switch {
		case n.Kind == yaml.AliasNode && !(isLast && target(n).Kind == yaml.ScalarNode):
			return atLine(n, fmt.Errorf("*%s stands for what line %d has", n.Value, n.Alias.Line))
		case p.merge != nil && !isLast:
			return atLine(p.merge, fmt.Errorf("%s is merged from line %d", path[i-1], n.Line))
		case p.merge != nil:
			return nil
		case n.Kind != yaml.AliasNode && n.Anchor != "":
			if used := aliasOf(places[0].node, n); used != nil {
				return atLine(n, fmt.Errorf("the value of &%s is used in line %d too", n.Anchor, used.Line))
			}
		}
	}
	return nil
}

// aliasOf returns the first alias of an anchor below a node.
func aliasOf(n, anchor *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		if n.Alias == anchor {
			return n
		}
		return nil
	}
	for _, c := range n.Content {
		if found := aliasOf(c, anchor); found != nil {
			return found
		}
	}
	return nil
}

func isBlock(n *yaml.Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// block is where a block scalar is written: its header from the indicator on, and its lines.
type block struct{ header, headerEnd, first, end int }

// blockAt finds a block scalar's lines: all that are indented as the first, without blank lines at the end.
func blockAt(text []byte, n *yaml.Node) (b block, lines int, err error) {
	start, ok := offset(text, n)
	if !ok || start >= len(text) || text[start] != '|' && text[start] != '>' {
		return b, 0, errNotOneLine
	}
	b.header = start
	b.headerEnd = start + lineEnd(text[start:])
	indent := -1
	for at := b.headerEnd; at < len(text); {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
		line := text[at : at+lineEnd(text[at:])]
		inside := len(line) - len(bytes.TrimLeft(line, " "))
		if inside == len(line) {
			continue
		}
		if indent < 0 {
			indent, b.first = inside, at+inside
		}
		if inside < indent || inside == 0 {
			break
		}
		b.end = at + len(line)
		lines++
	}
	if lines == 0 {
		return b, 0, errNotOneLine
	}
	return b, lines, nil
}

// blockLine returns where a block scalar of one line has its text.
func blockLine(text []byte, n *yaml.Node) (start, end int, err error) {
	b, lines, err := blockAt(text, n)
	if err == nil && lines > 1 {
		err = errNotOneLine
	}
	return b.first, b.end, err
}

// unblock returns the edit that puts a value on one line in place of a block scalar, and keeps the comment
// behind its indicator.
func unblock(file string, text []byte, n *yaml.Node, value string) (finding.Edit, error) {
	b, _, err := blockAt(text, n)
	if err != nil {
		return finding.Edit{}, atLine(n, err)
	}
	said := scalar(value)
	if i := bytes.Index(text[b.header:b.headerEnd], []byte(" #")); i >= 0 {
		said += string(text[b.header+i : b.headerEnd])
	}
	return finding.Edit{File: file, Start: b.header, End: b.end, New: said}, nil
}

// endOf returns where a node ends in the text.
func endOf(text []byte, n *yaml.Node) (int, error) {
	switch {
	case isBlock(n):
		b, _, err := blockAt(text, n)
		return b.end, err
	case n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode:
		_, end, err := span(text, n)
		return end, err
	case n.Style&yaml.FlowStyle != 0:
		end, err := flowEnd(text, n)
		return end + 1, err
	case len(n.Content) == 0:
		return 0, errNotOneLine
	}
	return endOf(text, n.Content[len(n.Content)-1])
}

// flowEnd returns where the bracket is that closes a list or mapping in flow style.
func flowEnd(text []byte, n *yaml.Node) (int, error) {
	at, ok := offset(text, n)
	if !ok || at >= len(text) || text[at] != '[' && text[at] != '{' {
		return 0, errors.New("the list is not where it was read")
	}
	at++
	for _, c := range n.Content {
		end, err := endOf(text, c)
		if err != nil {
			return 0, err
		}
		at = max(at, end)
	}
	for ; at < len(text); at++ {
		switch text[at] {
		case ']', '}':
			return at, nil
		case '#':
			at += lineEnd(text[at:])
		case ',', ' ', '\t', '\r', '\n', ':', '?':
		default:
			return 0, errors.New("the list is not where it was read")
		}
	}
	return 0, errors.New("the list is not closed")
}
