package main

import (
	"bytes"
	"fmt"
	"html/template"
	"path"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// site is what the pages link to.
type site struct {
	root, source string
	pages        map[string]*page // by file
	assets       map[string]bool  // files that are copied: images
	anchored     []target
	broken       []string
}

// target is a heading of a page that another page links to.
type target struct{ from, file, anchor string }

// headingIDs are as GitHub makes them: the same links work there.
type headingIDs struct{ taken map[string]bool }

func (h headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(string(value)))
	unique := id
	for n := 1; h.taken[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", id, n)
	}
	h.taken[unique] = true
	return []byte(unique)
}

func (h headingIDs) Put(value []byte) { h.taken[string(value)] = true }

// render makes the page's HTML, and notes its links.
func (s *site) render(p *page) {
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()), goldmark.WithRendererOptions(html.WithXHTML()))
	ids := headingIDs{map[string]bool{}}
	doc := markdown.Parser().Parse(text.NewReader(p.text),
		parser.WithContext(parser.NewContext(parser.WithIDs(ids))))
	p.anchors = ids.taken
	var words strings.Builder
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			p.anchor(n)
		case *ast.Link:
			n.Destination = []byte(s.follow(p, string(n.Destination)))
		case *ast.Image:
			n.Destination = []byte(s.follow(p, string(n.Destination)))
		case *ast.Text:
			words.Write(n.Segment.Value(p.text))
			words.WriteByte(' ')
		case *ast.FencedCodeBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				words.Write(line.Value(p.text))
			}
		}
		return ast.WalkContinue, nil
	})
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, p.text, doc); err != nil {
		s.broken = append(s.broken, fmt.Sprintf("%s: %v", p.File, err))
	}
	p.body = template.HTML(s.inTheDark(withoutFiles().ReplaceAllString(b.String(), "$1")))
	p.words = strings.Join(strings.Fields(words.String()), " ")
}

// anchor ends a heading below the title with a link to itself, and notes those of the second level.
func (p *page) anchor(h *ast.Heading) {
	id, _ := h.AttributeString("id")
	text, ok := id.([]byte)
	if h.Level < 2 || !ok {
		return
	}
	if h.Level == 2 {
		p.headings = append(p.headings, link{Title: textOf(h, p.text), Address: "#" + string(text)})
	}
	to := ast.NewLink()
	to.Destination = append([]byte("#"), text...)
	to.SetAttributeString("class", []byte("anchor"))
	to.Title = []byte("Link to this heading")
	to.AppendChild(to, ast.NewString([]byte("#")))
	h.AppendChild(h, to)
}

func textOf(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// withoutFiles matches links to files that this site does not have: their text stays.
var withoutFiles = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<a href="">(.*?)</a>`) })

var lightImage = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`<img src="([^"]*)-light\.png"[^>]*>`)
})

// inTheDark adds the dark variant of each picture that has one.
func (s *site) inTheDark(html string) string {
	return lightImage().ReplaceAllStringFunc(html, func(img string) string {
		name := lightImage().FindStringSubmatch(img)[1]
		file := strings.TrimLeft(name, "./") + "-dark.png"
		if !exists(s.root, file) {
			return img
		}
		s.assets[file] = true
		return fmt.Sprintf(`<picture><source srcset="%s-dark.png" media="(prefers-color-scheme: dark)" />%s</picture>`,
			name, img)
	})
}

// follow returns where a link of a page leads in the site.
func (s *site) follow(p *page, to string) string {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return to
	}
	name, anchor, hasAnchor := strings.Cut(to, "#")
	file := p.File
	if name != "" {
		file = path.Join(path.Dir(p.File), name)
	}
	other := s.pages[file]
	if other == nil {
		if s.pages[file+"/README.md"] != nil {
			file += "/README.md"
			other = s.pages[file]
		}
	}
	if other != nil {
		if hasAnchor {
			s.anchored = append(s.anchored, target{p.File, file, anchor})
			anchor = "#" + anchor
		}
		if name == "" {
			return anchor
		}
		return strings.Repeat("../", strings.Count(p.address(), "/")) + other.address() + anchor
	}
	if strings.HasPrefix(file, "..") || !exists(s.root, file) {
		s.broken = append(s.broken, fmt.Sprintf("%s: %s", p.File, to))
		return to
	}
	if ext := path.Ext(file); ext == ".png" || ext == ".json" {
		s.assets[file] = true
		return strings.Repeat("../", strings.Count(p.address(), "/")) + file
	}
	if s.source == "" {
		return "" // a file of the repository, which this site does not have
	}
	return strings.TrimSuffix(s.source, "/") + "/" + file
}

// checkAnchors finds links to headings that a page does not have.
func (s *site) checkAnchors() {
	for _, t := range s.anchored {
		if !s.pages[t.file].anchors[t.anchor] {
			s.broken = append(s.broken, fmt.Sprintf("%s: %s#%s", t.from, t.file, t.anchor))
		}
	}
}
