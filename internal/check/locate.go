package check

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/object"
)

// locator finds where the fields of objects are written.
type locator struct {
	files
	envs []*environment
	// origins know more than the object's own file: which override gave the field its value.
	origins  map[string]*origin.Report
	mappings map[string][]*yaml.Node // mappings that objects can come from, by file
}

// at is the place of an object's field in an environment. Where the field is not written, it is that of
// the deepest part above it that is.
func (l *locator) at(env string, ref object.Ref, field string) finding.Place {
	if p, ok := l.overridden(env, ref, field); ok {
		return p
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
		return origin.PlaceInTemplate(p, string(l.text(p.File)), o.Ref(), steps)
	}
	if doc := l.mappingOf(o); doc != nil {
		n, depth := object.Find(doc, steps)
		if depth > 0 {
			return finding.Place{File: p.File, Line: n.Line, Column: n.Column}
		}
	}
	return p
}

func (l *locator) object(env string, ref object.Ref) (object.Object, bool) {
	for _, e := range l.envs {
		if e.Name == env || env == "" {
			if o, ok := e.Set.Get(ref); ok {
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
	doc := l.mappingOf(o)
	if doc == nil {
		return ref.Name
	}
	for _, steps := range [][]object.Step{{{Key: "metadata"}, {Key: "name"}}, {{Key: "name"}}} {
		if n, depth := object.Find(doc, steps); depth == len(steps) {
			if name := valueOf(doc, n); name != "" && strings.Contains(ref.Name, name) {
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

// mappingOf is what an object was read from; nil where that is not in a file.
func (l *locator) mappingOf(o object.Object) *yaml.Node {
	file := o.Origin.File
	mappings, ok := l.mappings[file]
	if !ok && file != "" {
		mappings = objectMappings(l.documents(file))
		l.mappings[file] = mappings
	}
	var best *yaml.Node
	for _, m := range mappings {
		if m.Line != o.Origin.Line {
			continue
		}
		kind, _ := object.Find(m, []object.Step{{Key: "kind"}})
		if best == nil || valueOf(m, kind) == o.Ref().Kind { // JSON may have several in a line
			best = m
		}
	}
	return best
}

// objectMappings are all mappings of documents that objects can come from: whole documents, and elements of
// lists in them.
func objectMappings(docs []*yaml.Node) []*yaml.Node {
	var all []*yaml.Node
	var collect func(n *yaml.Node, depth int)
	collect = func(n *yaml.Node, depth int) {
		if n.Kind == yaml.MappingNode {
			all = append(all, n)
		}
		if depth == 4 || n.Kind == yaml.AliasNode {
			return
		}
		for _, below := range n.Content {
			collect(below, depth+1)
		}
	}
	for _, doc := range docs {
		collect(doc, 0)
	}
	return all
}

// overridden is where the override is that gave a field its value, or the value that it is computed from.
func (l *locator) overridden(env string, ref object.Ref, field string) (finding.Place, bool) {
	report := l.origins[env]
	if report == nil || field == "" {
		return finding.Place{}, false
	}
	for _, e := range slices.Backward(report.Effects) { // the strongest is the last
		for _, c := range e.Changes {
			sets := func(f object.Field) bool { return object.IsWithin(field, f.Path) && f.Before != nil }
			if c.Ref == ref && slices.ContainsFunc(c.Fields, sets) {
				return placeInPatch(l.files, e.Override, field), true
			}
		}
	}
	return finding.Place{}, false
}

// placeInPatch is the field's own place in the file of a patch, or the override's.
func placeInPatch(src files, o origin.Override, field string) finding.Place {
	_, quoted, _ := strings.Cut(o.Name, " ")
	name, err := strconv.Unquote(quoted)
	if err != nil || !strings.HasPrefix(strings.ToLower(o.Kind), "patches") {
		return o.Place
	}
	steps, err := object.Steps(field)
	if err != nil {
		return o.Place
	}
	file := path.Join(path.Dir(o.File), name)
	for _, m := range objectMappings(src.documents(file)) {
		if n, depth := object.Find(m, steps); depth == len(steps) {
			return finding.Place{File: file, Line: n.Line, Column: n.Column}
		}
	}
	return o.Place
}

// spelling is what a file has at the place of a field; false where that is not a value without quotes.
func spelling(docs []*yaml.Node, p finding.Place, field string) (string, bool) {
	steps, err := object.Steps(field)
	if err != nil || len(steps) == 0 {
		return "", false
	}
	last := steps[len(steps)-1]
	var v *yaml.Node
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for i, c := range n.Content {
			switch isHere := c.Line == p.Line && c.Column == p.Column; {
			case isHere && n.Kind == yaml.MappingNode && i%2 == 0 && !last.Element && c.Value == last.Key:
				v = n.Content[i+1]
			case isHere && n.Kind == yaml.SequenceNode && last.Element && c.Kind != yaml.MappingNode:
				v = c
			default:
				look(c)
			}
		}
	}
	for _, doc := range docs {
		look(doc)
	}
	if v != nil && v.Kind == yaml.AliasNode {
		v = v.Alias
	}
	if v == nil || v.Kind != yaml.ScalarNode || v.Style != 0 {
		return "", false
	}
	return v.Value, true
}
