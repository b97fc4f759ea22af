package origin

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// change edits a document: nodes that are left out, and nodes that are replaced.
type change struct {
	drop    map[*yaml.Node]bool
	replace map[*yaml.Node]*yaml.Node
}

// print writes a document with a change made. It is in flow style, with each node on its line: objects are
// recognised by their lines. A list, which holds a patch's operations, is JSON: Kustomize reads everything
// that begins with a bracket as JSON.
func (c change) print(doc *yaml.Node) []byte {
	p := &printer{change: c, line: 1, scalar: scalar}
	if doc.Kind == yaml.DocumentNode && resolved(doc.Content[0]).Kind == yaml.SequenceNode {
		p.scalar = jsonScalar
	}
	p.node(doc)
	p.text.WriteByte('\n')
	return []byte(p.text.String())
}

// printAll writes the documents of a file, each on its line, without those that are left out.
func (c change) printAll(docs []*yaml.Node) []byte {
	if len(docs) == 1 {
		return c.print(docs[0])
	}
	p := &printer{change: c, line: 1, scalar: scalar}
	for _, doc := range docs {
		if c.drop[resolved(doc.Content[0])] {
			continue
		}
		if p.text.Len() > 0 { // a line before the document, where it was
			end := p.line
			for p.line = max(end+1, doc.Content[0].Line-1); end < p.line; end++ {
				p.text.WriteByte('\n')
			}
			p.text.WriteString("---\n")
			p.line++
		}
		p.node(doc)
	}
	p.text.WriteByte('\n')
	return []byte(p.text.String())
}

type printer struct {
	change
	text  strings.Builder
	line  int
	depth int

	scalar func(*yaml.Node) string
}

// maxDepth bounds aliases that stand for others.
const maxDepth = 200

func (p *printer) node(n *yaml.Node) {
	if other := p.replace[n]; other != nil {
		n = other
	}
	if p.depth++; p.depth > maxDepth {
		return
	}
	defer func() { p.depth-- }()
	for ; p.line < n.Line; p.line++ {
		p.text.WriteByte('\n')
	}
	switch n.Kind {
	case yaml.DocumentNode:
		p.node(n.Content[0])
	case yaml.AliasNode:
		p.node(n.Alias)
	case yaml.SequenceNode:
		p.list(n)
	case yaml.MappingNode:
		p.mapping(n)
	default:
		p.text.WriteString(p.scalar(n))
	}
}

func (p *printer) list(n *yaml.Node) {
	p.text.WriteByte('[')
	first := true
	for _, item := range n.Content {
		if p.drop[item] {
			continue
		}
		if !first {
			p.text.WriteString(", ")
		}
		first = false
		p.node(item)
	}
	p.text.WriteByte(']')
}

func (p *printer) mapping(n *yaml.Node) {
	p.text.WriteByte('{')
	first := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if p.drop[v] {
			continue
		}
		if !first {
			p.text.WriteString(", ")
		}
		first = false
		if k.ShortTag() == "!!merge" {
			p.text.WriteString("<<")
		} else {
			p.node(k)
		}
		p.text.WriteString(": ")
		p.node(v)
	}
	p.text.WriteByte('}')
}

// bareText matches texts that mean the same with and without quotes.
var bareText = regexp.MustCompile(`^[A-Za-z0-9_./+-]+$`)

// scalar returns a scalar in flow style. Without quotes it keeps its type.
func scalar(n *yaml.Node) string {
	tag := ""
	if n.Style&yaml.TaggedStyle != 0 {
		tag = n.Tag + " "
	}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch {
	case !quoted && n.Value == "" && n.ShortTag() == "!!null":
		return tag + "null"
	case !quoted && (bareText.MatchString(n.Value) || n.ShortTag() != "!!str"):
		return tag + n.Value
	}
	return tag + strconv.QuoteToGraphic(n.Value)
}

func jsonScalar(n *yaml.Node) string {
	var v any
	if n.Decode(&v) == nil {
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return strconv.Quote(n.Value)
}
