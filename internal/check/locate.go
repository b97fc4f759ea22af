package check

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/lazyregexp"
	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// locator finds where the fields of objects are written.
type locator struct {
	view  *tree.View
	envs  []environment
	files map[string][]document
	// place knows more than the object's own file: which override gave the field its value.
	place func(env string, ref object.Ref, field string) (finding.Place, bool)
}

// document is one object of a file, or what makes one.
type document struct{ node *yaml.Node }

// at is the place of an object's field in an environment. Where the field is not written, it is that of
// the deepest part above it that is.
func (l *locator) at(env string, ref object.Ref, field string) finding.Place {
	if l.place != nil {
		if p, ok := l.place(env, ref, field); ok {
			return p
		}
	}
	o, ok := l.object(env, ref)
	if !ok {
		return finding.Place{}
	}
	p := finding.At(o.Origin)
	steps, err := object.Steps(field)
	if err != nil || p.File == "" {
		return p
	}
	if p.Line == 0 {
		return l.inTemplate(p, o, steps)
	}
	if doc, ok := l.document(o); ok {
		n, depth := object.Find(doc.node, steps)
		if depth > 0 {
			return finding.Place{File: p.File, Line: n.Line, Column: n.Column}
		}
	}
	return p
}

func (l *locator) object(env string, ref object.Ref) (object.Object, bool) {
	for _, e := range l.envs {
		if e.Name == env || env == "" {
			if o, ok := e.set.Get(ref); ok {
				return o, true
			}
		}
	}
	return object.Object{}, false
}

// written is an object's name as its file has it, before prefixes, suffixes and hashes.
func (l *locator) written(env string, ref object.Ref) string {
	o, ok := l.object(env, ref)
	if !ok {
		return ref.Name
	}
	doc, ok := l.document(o)
	if !ok {
		return ref.Name
	}
	for _, steps := range [][]object.Step{{{Key: "metadata"}, {Key: "name"}}, {{Key: "name"}}} {
		if n, depth := object.Find(doc.node, steps); depth == len(steps) {
			if name := valueOf(doc.node, n); name != "" && strings.Contains(ref.Name, name) {
				return name
			}
		}
	}
	return ref.Name
}

// valueOf is the value of the mapping's key at a node, which Find gives in place of the value.
func valueOf(within, key *yaml.Node) string {
	for i, n := range within.Content {
		if n == key && i+1 < len(within.Content) {
			return within.Content[i+1].Value
		}
		if v := valueOf(n, key); v != "" {
			return v
		}
	}
	return ""
}

// document is what an object was read from.
func (l *locator) document(o object.Object) (document, bool) {
	file := o.Origin.File
	docs, ok := l.files[file]
	if !ok && file != "" && l.files != nil {
		if text, err := l.view.File(file); err == nil {
			docs = documents(text)
		}
		l.files[file] = docs
	}
	best, found := document{}, false
	for _, d := range docs {
		if d.node.Line != o.Origin.Line {
			continue
		}
		kind, _ := object.Find(d.node, []object.Step{{Key: "kind"}})
		if !found || valueOf(d.node, kind) == o.Ref().Kind { // JSON may have several in a line
			best, found = d, true
		}
	}
	return best, found
}

// documents are all mappings of a file that objects can come from: whole documents, and elements of
// lists in them.
func documents(text []byte) []document {
	var docs []document
	var collect func(n *yaml.Node, depth int)
	collect = func(n *yaml.Node, depth int) {
		if n.Kind == yaml.MappingNode {
			docs = append(docs, document{n})
		}
		if depth == 4 || n.Kind == yaml.AliasNode {
			return
		}
		for _, below := range n.Content {
			collect(below, depth+1)
		}
	}
	for stream := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		if stream.Decode(&n) != nil {
			return docs
		}
		collect(&n, 0)
	}
}

var templateKey = lazyregexp.New(`^(\s*(?:- +)?)["']?([A-Za-z0-9_./-]+)["']?:`)

var action = lazyregexp.New(`\{\{.*?\}\}`)

// begins is the line with an object's kind in a template; -1: it is not known which. Of several of the
// kind it is the one whose name, with anything in place of what is computed, is the object's.
func begins(lines []string, ref object.Ref) int {
	found, named := []int{}, []int{}
	for i, line := range lines {
		if strings.TrimSpace(line) != "kind: "+ref.Kind {
			continue
		}
		found = append(found, i)
		for _, below := range lines[i:min(i+6, len(lines))] {
			name, ok := strings.CutPrefix(strings.TrimSpace(below), "name:")
			if !ok {
				continue
			}
			parts := action().Split(strings.Trim(strings.TrimSpace(name), `"'`), -1)
			for j := range parts {
				parts[j] = regexp.QuoteMeta(parts[j])
			}
			if ok, _ := regexp.MatchString("^"+strings.Join(parts, ".+")+"$", ref.Name); ok {
				named = append(named, i)
			}
			break
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(named) == 1:
		return named[0]
	}
	return -1
}

// inTemplate looks for the field's keys in a template's text, each deeper than the one before. What is
// computed is not found: then it is the part around it.
func (l *locator) inTemplate(p finding.Place, o object.Object, steps []object.Step) finding.Place {
	text, err := l.view.File(p.File)
	if ext := path.Ext(p.File); err != nil || ext != ".yaml" && ext != ".yml" {
		return p
	}
	lines := strings.Split(string(text), "\n")
	start := begins(lines, o.Ref())
	if start < 0 {
		return p
	}
	end := len(lines)
	if i := slices.Index(lines[start:], "---"); i > 0 {
		end = start + i
	}
	p.Line, p.Column = start+1, 1
	indent, n := -1, start
	for _, s := range steps {
		if s.Element {
			continue
		}
		at := slices.IndexFunc(lines[n:end], func(line string) bool {
			m := templateKey().FindStringSubmatch(line)
			return m != nil && m[2] == s.Key && len(m[1]) > indent
		})
		if at < 0 {
			return p
		}
		n += at
		indent = len(templateKey().FindStringSubmatch(lines[n])[1])
		p.Line, p.Column = n+1, indent+1
		n++
	}
	return p
}
