package check

import (
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	plain "sigs.k8s.io/yaml"

	"slipway/internal/check/finding"
	"slipway/internal/lazyregexp"
)

var imageNumericTag = finding.Rule{ID: "image-numeric-tag", Group: "crossing", Severity: finding.Error,
	Title: "An image's tag is a number in a values file",
	Why: "YAML reads an unquoted tag of digits as a number, and Helm prints it as one: 1234567 becomes " +
		"1.234567e+06, 0123456 becomes 42798, 2026.10 becomes 2026.1. A short commit hash is all digits about " +
		"once in thirty.",
	Fix: "Quote it:\n\n```yaml\nimage:\n  tag: \"1234567\"\n```"}

// numericTags is the rule on tags in values files.
var numericTags = group{
	rules: []finding.Rule{imageNumericTag},
	each: func(r *run, env environment) {
		s := take(r, env)
		for _, name := range s.valuesFiles() {
			for _, t := range s.tags(name) {
				s.numeric(t)
			}
		}
	},
}

// tag is where a values file says an image's tag.
type tag struct {
	file string
	text []byte
	path string
	node *yaml.Node
	// parent is the key of the mapping that it is in.
	parent *yaml.Node
}

// valuesFiles are the charts' own and those that are given to them, the weakest first.
func (s *stock) valuesFiles() []string {
	var files []string
	for _, c := range s.Charts {
		if c.Repository == "" {
			files = append(files, path.Join(c.Path, "values.yaml"))
		}
		files = append(files, c.Values...)
	}
	return files
}

// tags finds them in one file. What had to be decrypted is left alone: its bytes are other ones.
func (s *stock) tags(name string) []tag {
	view := s.view.Tree.View(s.ctx)
	text, err := view.File(name)
	var doc yaml.Node
	if err != nil || len(view.Secrets()) > 0 || yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return nil
	}
	var found []tag
	tagsIn(doc.Content[0], nil, "", func(t tag) {
		t.file, t.text = name, text
		found = append(found, t)
	})
	return found
}

var tagKey = lazyregexp.New(`^(?i:(.*image)?[-_]?tag)$`)

func tagsIn(n, parent *yaml.Node, at string, found func(tag)) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			tagsIn(c, parent, at, found)
		}
		return
	}
	like := parent != nil && strings.Contains(strings.ToLower(parent.Value), "image")
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i].Value
		like = like || k == "repository" || k == "pullPolicy" || k == "registry"
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.ScalarNode {
			named := tagKey().MatchString(k.Value) && (like || strings.Contains(strings.ToLower(k.Value), "image"))
			if named || like && k.Value == "version" {
				found(tag{path: at + "." + k.Value, node: v, parent: parent})
			}
			continue
		}
		tagsIn(v, k, at+"."+k.Value, found)
	}
}

// numeric is an error where the image that is rendered has the number in it.
func (s *stock) numeric(t tag) {
	n := t.node
	if n.Style != 0 || n.Tag != "!!int" && n.Tag != "!!float" {
		return
	}
	var number struct{ V any }
	if plain.Unmarshal([]byte("v: "+n.Value), &number) != nil {
		return
	}
	printed := fmt.Sprint(number.V)
	if printed == n.Value && n.Tag == "!!int" {
		return
	}
	f := imageNumericTag.In(finding.Place{File: t.file, Line: n.Line, Column: n.Column},
		"the tag %s is a number: Helm makes %s of it", n.Value, printed)
	f.Fix = fmt.Sprintf("%q", n.Value)
	if printed == n.Value {
		f.Severity, f.Message = finding.Warning,
			fmt.Sprintf("the tag %s is a number: a zero at its end would be lost", n.Value)
	} else if !s.rendered(printed) {
		f.Severity = finding.Warning
	}
	if start, ok := offset(t.text, n); ok {
		f.Edits = []finding.Edit{{File: t.file, Start: start, End: start + len(n.Value), New: f.Fix}}
	}
	s.find(f)
}

// rendered says whether an image has that tag.
func (s *stock) rendered(tag string) bool {
	for _, o := range s.objects {
		for _, u := range s.uses(o) {
			if u.tag == tag {
				return true
			}
		}
	}
	return false
}

// offset is where a plain scalar begins in the text that it was read from.
func offset(text []byte, n *yaml.Node) (int, bool) {
	start, ok := finding.Offset(text, n.Line, n.Column)
	return start, ok && strings.HasPrefix(string(text[start:]), n.Value)
}

// fallsThrough says where a chart's default gives the tag of an image that a stronger file names.
func (s *stock) fallsThrough(u use, f *finding.Finding) {
	for _, c := range s.Charts {
		if c.Repository != "" || u.tag == "" {
			continue
		}
		own := s.tags(path.Join(c.Path, "values.yaml"))
		for _, t := range own {
			if t.node.Value != u.tag || t.parent == nil {
				continue
			}
			for i := len(c.Values) - 1; i >= 0; i-- {
				if place, ok := s.mentions(c.Values[i], t.path[:strings.LastIndex(t.path, ".")]); ok &&
					!s.sets(c.Values, t.path) {
					f.Place = place
					f.Message += fmt.Sprintf("; %s names the image and no tag, so that it is the chart's default (%s:%d)",
						c.Values[i], t.file, t.node.Line)
					f.Fix = "say the tag here, or with --set " + strings.TrimPrefix(t.path, ".") + "="
					return
				}
			}
		}
	}
}

func (s *stock) sets(files []string, path string) bool {
	for _, f := range files {
		for _, t := range s.tags(f) {
			if t.path == path {
				return true
			}
		}
	}
	return false
}

// mentions is the place of a key in a values file.
func (s *stock) mentions(file, path string) (finding.Place, bool) {
	text, err := s.view.File(file)
	var doc yaml.Node
	if err != nil || yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return finding.Place{}, false
	}
	n := doc.Content[0]
	var at *yaml.Node
	for _, k := range strings.Split(strings.TrimPrefix(path, "."), ".") {
		if at, n = child(n, k); at == nil {
			return finding.Place{}, false
		}
	}
	return finding.Place{File: file, Line: at.Line, Column: at.Column}, true
}

func child(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}
