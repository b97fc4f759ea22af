package check

import (
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
)

const selectorChanges = rule.ID("selector-changes")

// selectorLabels are labels that a kustomization writes into selectors.
type selectorLabels struct {
	file   string
	labels map[string]string
	root   *yaml.Node
	key    *yaml.Node // "commonLabels", or "includeSelectors"
	value  *yaml.Node
	entry  *yaml.Node // of labels; nil for commonLabels
}

// selectors checks which labels overlays write into selectors.
func selectors(s *subject, e *environment) found {
	own := labelsOfPaths(s.files, e.Paths)
	if len(own) == 0 { // the files of a thousand other environments need not be read
		return found{}
	}
	var others []map[string]string
	for _, other := range e.all {
		if other.Name != e.Name && len(other.Paths) > 0 && !slices.Equal(other.Paths, e.Paths) {
			labels := map[string]string{}
			for _, l := range labelsOfPaths(s.files, other.Paths) {
				maps.Copy(labels, l.labels)
			}
			others = append(others, labels)
		}
	}
	var all []finding.Finding
	for _, l := range own {
		all = append(all, checkSelectorLabels(s.files, e, l, others)...)
	}
	return found{findings: all}
}

// checkSelectorLabels reports the first label that reaches a selector here and is another elsewhere.
func checkSelectorLabels(src files, e *environment, l selectorLabels,
	others []map[string]string) []finding.Finding {
	for _, k := range slices.Sorted(maps.Keys(l.labels)) {
		v := l.labels[k]
		names := selectingBy(e, k, v)
		differs := func(o map[string]string) bool { return o[k] != v }
		if names == "" || !slices.ContainsFunc(others, differs) {
			continue
		}
		f := selectorChanges.In(finding.Place{File: l.file, Line: l.key.Line, Column: l.key.Column},
			"label %s=%s reaches the immutable selector of %s, and not in every environment: "+
				"adding or removing it later makes the deploy fail", k, v, names)
		f.Fix = "Use `labels` with `includeSelectors: false`."
		f.Edits = l.edits(src.text(l.file))
		return []finding.Finding{f}
	}
	return nil
}

// selectingBy names the workloads whose selector, which is immutable, has the label.
func selectingBy(e *environment, key, value string) string {
	var names []string
	for _, o := range e.objects {
		labels := object.Mapping(o.At("spec", "selector", "matchLabels"))
		if r := o.Ref(); r.Group == "apps" && labels[key] == value {
			names = append(names, r.Kind+" "+r.Name)
		}
	}
	return some(names)
}

func labelsOfPaths(src files, folders []string) []selectorLabels {
	var all []selectorLabels
	seen := once{}
	for _, f := range folders {
		all = append(all, labelsInSelectors(src, f, seen)...)
	}
	return all
}

// labelsInSelectors are those of a kustomization and of its bases.
func labelsInSelectors(src files, folder string, seen once) []selectorLabels {
	if !seen.first(folder) {
		return nil
	}
	var all []selectorLabels
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		file := path.Join(folder, name)
		root := src.document(file)
		if root == nil {
			continue
		}
		if k, v := child(root, "commonLabels"); k != nil {
			all = append(all, selectorLabels{file: file, root: root, key: k, value: v, labels: stringMap(v)})
		}
		_, entries := child(root, "labels")
		for _, e := range content(entries) {
			k, v := child(e, "includeSelectors")
			_, pairs := child(e, "pairs")
			if k != nil && v.Value == "true" && pairs != nil {
				all = append(all, selectorLabels{
					file: file, root: root, key: k, value: v, entry: e, labels: stringMap(pairs)})
			}
		}
		for _, key := range []string{"resources", "bases", "components"} {
			_, list := child(root, key)
			for _, e := range content(list) {
				if base := path.Join(folder, e.Value); src.isFolder(base) {
					all = append(all, labelsInSelectors(src, base, seen)...)
				}
			}
		}
	}
	return all
}

func content(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	return n.Content
}

func stringMap(n *yaml.Node) map[string]string {
	m := map[string]string{}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = n.Content[i+1].Value
		}
	}
	return m
}

// edits take the labels out of selectors and leave them on pods. There are none where the file's form leaves
// a choice.
func (l selectorLabels) edits(text []byte) []finding.Edit {
	if l.entry != nil {
		return l.excludeSelectors(text)
	}
	labels, _ := child(l.root, "labels")
	if labels != nil || l.value.Kind != yaml.MappingNode || l.value.Style != 0 || l.key.Column != 1 ||
		l.value.Anchor != "" {
		return nil
	}
	last, indent := l.key.Line, l.value.Column-1
	for i := 0; i+1 < len(l.value.Content); i += 2 {
		k, v := l.value.Content[i], l.value.Content[i+1]
		if v.Kind != yaml.ScalarNode || v.Line != k.Line || v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return nil
		}
		last = k.Line
	}
	lines := strings.SplitAfter(string(text), "\n")
	if indent > 6 || last > len(lines) {
		return nil
	}
	start := len(strings.Join(lines[:l.key.Line-1], ""))
	old := strings.Join(lines[l.key.Line-1:last], "")
	rest, ok := strings.CutPrefix(lines[l.key.Line-1], "commonLabels:")
	if !ok || strings.Contains(old, "\r") {
		return nil
	}
	var b strings.Builder
	b.WriteString("labels:" + rest + "  - pairs:\n")
	for _, line := range lines[l.key.Line:last] {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", 6-indent))
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	b.WriteString("    includeSelectors: false\n    includeTemplates: true")
	if strings.HasSuffix(old, "\n") {
		b.WriteString("\n")
	}
	return []finding.Edit{{File: l.file, Start: start, End: start + len(old), New: b.String()}}
}

func (l selectorLabels) excludeSelectors(text []byte) []finding.Edit {
	start, ok := scalarOffset(text, l.value)
	if !ok || l.entry.Style != 0 {
		return nil
	}
	with := "false"
	if k, _ := child(l.entry, "includeTemplates"); k == nil {
		with += "\n" + strings.Repeat(" ", l.key.Column-1) + "includeTemplates: true"
		line, _, _ := strings.Cut(string(text[start:]), "\n")
		if strings.TrimSpace(line) != "true" {
			return nil // a comment would go to the other line
		}
	}
	return []finding.Edit{{File: l.file, Start: start, End: start + len("true"), New: with}}
}
