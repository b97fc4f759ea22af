package check

import (
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	jsonyaml "sigs.k8s.io/yaml"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/lazyregexp"
	"slipway/internal/project"
)

const imageNumericTag = rule.ID("image-numeric-tag")

// numericTags checks the tags in values files.
func numericTags(s *subject, e *environment) found {
	var all []finding.Finding
	for _, c := range e.Charts {
		files := c.Values
		if c.Repository == "" {
			files = append([]string{defaultsOf(c)}, files...)
		}
		for _, name := range files {
			for _, t := range valueTags(s.files, name) {
				all = append(all, checkNumericTag(s.files, e, t)...)
			}
		}
	}
	return found{findings: all}
}

// defaultsOf is the chart's own values file.
func defaultsOf(c project.Chart) string { return path.Join(c.Path, "values.yaml") }

// valueTag is where a values file sets an image's tag.
type valueTag struct {
	file string
	path string // "image.tag"
	node *yaml.Node
	// parent is the key of the mapping that it is in.
	parent *yaml.Node
}

// valueTags finds them in one file. A decrypted file has none: the positions in its text are not those on
// disk.
func valueTags(src files, name string) []valueTag {
	root := src.document(name)
	if root == nil || src.isEncrypted(name) {
		return nil
	}
	var all []valueTag
	eachTag(root, nil, "", func(t valueTag) {
		t.file = name
		all = append(all, t)
	})
	return all
}

var tagKey = lazyregexp.New(`^(?i:(.*image)?[-_]?tag)$`)

func eachTag(n, parent *yaml.Node, at string, visit func(valueTag)) {
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			eachTag(c, parent, at, visit)
		}
		return
	}
	isImage := parent != nil && strings.Contains(strings.ToLower(parent.Value), "image")
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i].Value
		isImage = isImage || k == "repository" || k == "pullPolicy" || k == "registry"
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		below := strings.TrimPrefix(at+"."+k.Value, ".")
		if v.Kind != yaml.ScalarNode {
			eachTag(v, k, below, visit)
			continue
		}
		isOwnImage := strings.Contains(strings.ToLower(k.Value), "image")
		isTag := tagKey().MatchString(k.Value) && (isImage || isOwnImage)
		if isTag || isImage && k.Value == "version" {
			visit(valueTag{path: below, node: v, parent: parent})
		}
	}
}

// checkNumericTag reports an error where a rendered image has the number as its tag.
func checkNumericTag(src files, e *environment, t valueTag) []finding.Finding {
	n := t.node
	if n.Style != 0 || n.Tag != "!!int" && n.Tag != "!!float" {
		return nil
	}
	var number struct{ V any }
	if jsonyaml.Unmarshal([]byte("v: "+n.Value), &number) != nil {
		return nil
	}
	printed := fmt.Sprint(number.V)
	if printed == n.Value && n.Tag == "!!int" {
		return nil
	}
	place := finding.Place{File: t.file, Line: n.Line, Column: n.Column}
	f := imageNumericTag.In(place, "tag %s is a number: Helm renders it as %s", n.Value, printed)
	f = f.WarnUnless(runsTag(e, printed))
	if printed == n.Value {
		f = imageNumericTag.In(place, "tag %s is a number: Helm drops a zero at its end", n.Value)
		f.Severity = finding.Warning
	}
	quoted := fmt.Sprintf("%q", n.Value)
	f.Fix = "Quote it: " + quoted
	if start, ok := scalarOffset(src.text(t.file), n); ok {
		f.Edits = []finding.Edit{{File: t.file, Start: start, End: start + len(n.Value), New: quoted}}
	}
	return []finding.Finding{f}
}

// runsTag reports whether an object's image has that tag.
func runsTag(e *environment, tag string) bool {
	for _, o := range e.objects {
		for _, u := range imageUses(o) {
			if u.Tag == tag {
				return true
			}
		}
	}
	return false
}

// scalarOffset is where a plain scalar begins in the text that it was read from.
func scalarOffset(text []byte, n *yaml.Node) (int, bool) {
	start, ok := finding.Offset(text, n.Line, n.Column)
	return start, ok && strings.HasPrefix(string(text[start:]), n.Value)
}

// blameDefault adds to a finding that the image's tag is a chart's default, which a values file that names
// the image leaves as it is, and moves the finding there.
func blameDefault(src files, charts []project.Chart, u imageUse, f finding.Finding) finding.Finding {
	for _, c := range charts {
		if c.Repository != "" || u.Tag == "" {
			continue
		}
		for _, t := range valueTags(src, defaultsOf(c)) {
			if t.node.Value != u.Tag || t.parent == nil || setsTag(src, c.Values, t.path) {
				continue
			}
			above := t.path[:strings.LastIndex(t.path, ".")]
			for i := len(c.Values) - 1; i >= 0; i-- {
				if place, ok := placeOfKey(src, c.Values[i], above); ok {
					f.Place = place
					f.Message += fmt.Sprintf("; %s sets the image without a tag, so the chart's default applies (%s:%d)",
						c.Values[i], t.file, t.node.Line)
					f.Fix = "Set `tag` here, or pass --set " + t.path + "=TAG."
					return f
				}
			}
		}
	}
	return f
}

func setsTag(src files, files []string, path string) bool {
	for _, f := range files {
		for _, t := range valueTags(src, f) {
			if t.path == path {
				return true
			}
		}
	}
	return false
}

// placeOfKey is the place of a key ("image.tag") in a values file.
func placeOfKey(src files, file, path string) (finding.Place, bool) {
	n := src.document(file)
	if n == nil {
		return finding.Place{}, false
	}
	var key *yaml.Node
	for _, k := range strings.Split(path, ".") {
		if key, n = child(n, k); key == nil {
			return finding.Place{}, false
		}
	}
	return finding.Place{File: file, Line: key.Line, Column: key.Column}, true
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
