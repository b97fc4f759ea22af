package check

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

var (
	hpaReplicas = finding.Rule{ID: "hpa-replicas", Group: "crossing", Severity: finding.Error,
		Title: "Each deploy resets what an autoscaler has decided",
		Why: "An autoscaler writes `replicas` of what it scales. Where the manifest says `replicas` as well, " +
			"every apply writes that number back: pods are stopped in the middle of the load that they were " +
			"started for.",
		Fix: "Leave `replicas` out where there is an autoscaler. If the base says it, take it away in that " +
			"overlay:\n\n```yaml\npatches:\n  - target: {kind: Deployment, name: myapp}\n    patch: |\n      - op: " +
			"remove\n        path: /spec/replicas\n```"}
	selectorChanges = finding.Rule{ID: "selector-changes", Group: "crossing", Severity: finding.Warning,
		Title: "Labels of one environment get into selectors",
		Why: "`commonLabels`, and `labels` with includeSelectors, write into `spec.selector` of Deployments, " +
			"StatefulSets and DaemonSets. That field cannot be changed: the first deploy over existing objects is " +
			"refused, and so is the deploy that takes the label away again.",
		Fix: "```yaml\nlabels:\n  - pairs:\n      env: prod\n    includeSelectors: false\n    includeTemplates: " +
			"true\n```"}
	unstableRender = finding.Rule{ID: "unstable-render", Group: "crossing", Severity: finding.Warning,
		Title: "An environment does not render the same twice",
		Why: "A template that makes random or dated values makes other objects each time: what was looked at " +
			"is not what is deployed, each deploy restarts pods, and generated passwords change.",
		Fix: "Give the value in a values file or a Secret, or keep the one that is there with `lookup`."}
)

// crossing are the rules on what one environment has and another has not, and on what deploys undo.
var crossing = group{
	rules: []finding.Rule{hpaReplicas, selectorChanges, unstableRender},
	each: func(r *run, env environment) {
		s := take(r, env)
		for _, w := range s.pods {
			h, ok := s.scaler(w.Object)
			n := w.At("spec", "replicas")
			if !ok || n == nil {
				continue
			}
			what := fmt.Sprintf("each deploy sets it back to %v", n)
			if n == int64(0) {
				what = "0 switches the autoscaler off at each deploy"
			}
			fix := "leave replicas out"
			if w.Origin.Line == 0 { // in a template: without the value it would be the chart's default
				fix = "let " + w.Origin.File + " leave replicas out where there is an autoscaler"
			}
			s.tell(hpaReplicas, true, w.Object, "spec.replicas", fix, "%s %s%s scales it: %s", h.Ref().Kind,
				h.Ref().Name, in(h.Origin.String()), what)
		}
		for _, w := range env.warnings {
			if _, what, ok := strings.Cut(w, "not the same each time: "); ok {
				s.unstable(what)
			}
		}
		s.selectors()
	},
}

// unstable tells of a field that helm.Unstable names: "templates/db.yaml: Secret db data.password:
// randAlphaNum".
func (s *stock) unstable(what string) {
	f := unstableRender.In(finding.Place{}, "it does not come out the same each time: %s", what)
	file, rest, _ := strings.Cut(what, ": ")
	if words := strings.SplitN(rest, " ", 3); len(words) == 3 && s.view.IsFile(file) {
		if !slices.ContainsFunc(s.objects, func(o object.Object) bool { return o.Origin.File == file }) {
			return // a test of the chart, which is not deployed
		}
		f.Place.File, f.Message = file, "it does not come out the same each time: "+rest
		for _, o := range s.objects {
			if ref := o.Ref(); o.Origin.File == file && ref.Kind == words[0] && ref.Name == path.Base(words[1]) {
				f.Object, f.Place = &ref, finding.Place{} // the object's own: overrides of the field are not the cause
				f.Message = "it does not come out the same each time: " + words[2]
			}
		}
	}
	s.find(f)
}

func in(place string) string {
	if place == "" {
		return ""
	}
	return " (" + place + ")"
}

// pairs are labels that a kustomization writes into selectors.
type pairs struct {
	file   string
	text   []byte
	labels map[string]string
	root   *yaml.Node
	key    *yaml.Node // "commonLabels", or "includeSelectors"
	value  *yaml.Node
	entry  *yaml.Node // of labels; nil for commonLabels
}

func (s *stock) selectors() {
	if s.Path == "" {
		return
	}
	var others []map[string]string
	for _, e := range s.Project.Environments {
		if e.Name != s.Name && e.Path != "" && e.Path != s.Path {
			others = append(others, s.inSelectors(e))
		}
	}
	for _, p := range s.chain(s.Path, map[string]bool{}) {
		for _, k := range slices.Sorted(maps.Keys(p.labels)) {
			v := p.labels[k]
			n := s.selecting(k, v)
			differs := func(o map[string]string) bool { return o[k] != v }
			if n == "" || !slices.ContainsFunc(others, differs) {
				continue
			}
			f := selectorChanges.In(finding.Place{File: p.file, Line: p.key.Line, Column: p.key.Column},
				"it adds %s=%s to the selector of %s, and not in every environment: a selector cannot be changed on "+
					"what is already deployed", k, v, n)
			f.Fix = "labels with includeSelectors: false"
			f.Edits = p.edits()
			s.find(f)
			break
		}
	}
}

// inSelectors are all labels that an environment's kustomizations write into selectors.
func (s *stock) inSelectors(e project.Environment) map[string]string {
	all := map[string]string{}
	for _, p := range s.chain(e.Path, map[string]bool{}) {
		maps.Copy(all, p.labels)
	}
	return all
}

// selecting names whose selectors cannot be changed and have the label.
func (s *stock) selecting(key, value string) string {
	var names []string
	for _, o := range s.objects {
		if r := o.Ref(); r.Group == "apps" &&
			object.Mapping(o.At("spec", "selector", "matchLabels"))[key] == value {
			names = append(names, r.Kind+" "+r.Name)
		}
	}
	return some(names)
}

// chain are the pairs of a kustomization and of those that it builds on.
func (s *stock) chain(folder string, seen map[string]bool) []pairs {
	if seen[folder] {
		return nil
	}
	seen[folder] = true
	var found []pairs
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		file := path.Join(folder, name)
		text, err := s.view.File(file)
		var doc yaml.Node
		if err != nil || yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
			continue
		}
		root := doc.Content[0]
		if k, v := child(root, "commonLabels"); k != nil {
			found = append(found, pairs{file: file, text: text, root: root, key: k, value: v, labels: strs(v)})
		}
		if _, list := child(root, "labels"); list != nil {
			for _, e := range list.Content {
				k, v := child(e, "includeSelectors")
				_, p := child(e, "pairs")
				if k != nil && v.Value == "true" && p != nil {
					found = append(found, pairs{file: file, text: text, root: root, key: k, value: v, entry: e,
						labels: strs(p)})
				}
			}
		}
		for _, key := range []string{"resources", "bases", "components"} {
			_, list := child(root, key)
			if list == nil {
				continue
			}
			for _, e := range list.Content {
				if below := path.Join(folder, e.Value); s.view.IsFolder(below) {
					found = append(found, s.chain(below, seen)...)
				}
			}
		}
	}
	return found
}

func strs(n *yaml.Node) map[string]string {
	m := map[string]string{}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = n.Content[i+1].Value
		}
	}
	return m
}

// edits are none where it is not plain what to write.
func (p pairs) edits() []finding.Edit {
	if p.entry != nil {
		return p.exclude()
	}
	other, _ := child(p.root, "labels")
	if other != nil || p.value.Kind != yaml.MappingNode || p.value.Style != 0 || p.key.Column != 1 ||
		p.value.Anchor != "" {
		return nil
	}
	last, indent := p.key.Line, p.value.Column-1
	for i := 0; i+1 < len(p.value.Content); i += 2 {
		k, v := p.value.Content[i], p.value.Content[i+1]
		if v.Kind != yaml.ScalarNode || v.Line != k.Line || v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			return nil
		}
		last = k.Line
	}
	lines := strings.SplitAfter(string(p.text), "\n")
	if indent > 6 || last > len(lines) {
		return nil
	}
	start := len(strings.Join(lines[:p.key.Line-1], ""))
	old := strings.Join(lines[p.key.Line-1:last], "")
	body := lines[p.key.Line:last]
	rest, ok := strings.CutPrefix(lines[p.key.Line-1], "commonLabels:")
	if !ok || strings.Contains(old, "\r") {
		return nil
	}
	var b strings.Builder
	b.WriteString("labels:" + rest + "  - pairs:\n")
	for _, l := range body {
		if strings.TrimSpace(l) != "" {
			b.WriteString(strings.Repeat(" ", 6-indent))
		}
		b.WriteString(strings.TrimSuffix(l, "\n") + "\n")
	}
	b.WriteString("    includeSelectors: false\n    includeTemplates: true")
	if strings.HasSuffix(old, "\n") {
		b.WriteString("\n")
	}
	return []finding.Edit{{File: p.file, Start: start, End: start + len(old), New: b.String()}}
}

// exclude turns includeSelectors off and leaves the pods' labels as they are.
func (p pairs) exclude() []finding.Edit {
	start, ok := offset(p.text, p.value)
	if !ok || p.entry.Style != 0 {
		return nil
	}
	with := "false"
	if k, _ := child(p.entry, "includeTemplates"); k == nil {
		with += "\n" + strings.Repeat(" ", p.key.Column-1) + "includeTemplates: true"
		line, _, _ := strings.Cut(string(p.text[start:]), "\n")
		if strings.TrimSpace(line) != "true" {
			return nil // a comment would go to the other line
		}
	}
	return []finding.Edit{{File: p.file, Start: start, End: start + len("true"), New: with}}
}
