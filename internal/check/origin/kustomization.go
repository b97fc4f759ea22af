package origin

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/render/tree"
)

// kustomizations notes the overrides of all kustomizations that were read, bases before what includes them.
func (l *lab) kustomizations() error {
	seen := map[string]bool{}
	for _, s := range l.with.Reads.List() {
		if s.Kind == tree.File && slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(s.Path)) {
			if err := l.layer(s.Path, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lab) layer(name string, seen map[string]bool) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	f, err := l.open(name)
	if f == nil {
		return err
	}
	top := resolved(f.doc.Content[0])
	f.reach = path.Dir(name)
	if text(value(top, "kind")) == "Component" {
		f.reach = "." // it changes what includes it
	}
	for _, field := range []string{"resources", "bases", "components"} {
		for _, n := range items(value(top, field)) {
			if !filepath.IsLocal(n.Value) {
				f.reach = "."
			}
			for _, base := range konfig.RecognizedKustomizationFileNames() {
				if below := path.Join(path.Join(path.Dir(name), n.Value), base); l.was(below) {
					if err := l.layer(below, seen); err != nil {
						return err
					}
				}
			}
		}
	}
	return l.fields(f, top)
}

// was says whether a file was read.
func (l *lab) was(name string) bool {
	return slices.ContainsFunc(l.with.Reads.List(), func(s tree.Seen) bool {
		return s.Path == name && s.Kind == tree.File
	})
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// fields notes what each field of a kustomization says.
func (l *lab) fields(f *file, top *yaml.Node) error {
	for i := 0; i+1 < len(top.Content); i += 2 {
		k, v := top.Content[i].Value, resolved(top.Content[i+1])
		l.tangled = l.tangled || slices.Contains([]string{"replacements", "vars", "transformers", "configurations"},
			strings.ToLower(k))
		var err error
		switch strings.ToLower(k) {
		case "nameprefix", "namesuffix", "namespace":
			l.add(Override{Kind: k, Name: k, Text: brief(v)}, f, v, nil)
		case "commonlabels", "commonannotations":
			l.pairs(f, k, k, v)
		case "labels":
			for i, n := range items(v) {
				l.pairs(f, k, fmt.Sprintf("%s[%d].pairs", k, i), value(n, "pairs"))
			}
		case "images", "replicas", "components", "replacements", "transformers":
			for i, n := range items(v) {
				l.add(Override{Kind: k, Name: entryName(k, i, n), Text: brief(n)}, f, n, nil)
			}
		case "patches", "patchesstrategicmerge", "patchesjson6902":
			for i, n := range items(v) {
				if err = l.patch(f, k, i, n); err != nil {
					break
				}
			}
		case "configmapgenerator", "secretgenerator":
			for i, n := range items(v) {
				l.generator(f, k, i, n)
			}
		case "helmcharts":
			for i, n := range items(v) {
				if inline := value(n, "valuesInline"); inline != nil {
					l.leaves(f, fmt.Sprintf("%s[%d].valuesInline", k, i), inline, nil)
				}
				if err = l.chartValues(f, n); err != nil {
					break
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chartValues notes what the values files of an entry of helmCharts say.
func (l *lab) chartValues(f *file, entry *yaml.Node) error {
	for _, n := range append([]*yaml.Node{value(entry, "valuesFile")},
		items(value(entry, "additionalValuesFiles"))...) {
		name := path.Join(path.Dir(f.name), text(n))
		if text(n) == "" || !l.was(name) {
			continue
		}
		other, err := l.open(name)
		if err != nil {
			return err
		}
		if other != nil {
			l.leaves(other, "", resolved(other.doc.Content[0]), nil)
		}
	}
	return nil
}

func (l *lab) pairs(f *file, kind, at string, n *yaml.Node) {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		l.add(Override{Kind: kind, Name: at + "." + n.Content[i].Value, Text: brief(v)}, f, v, nil)
	}
}

// entryName is how an item of a list is called: images[0] "myapp".
func entryName(field string, i int, n *yaml.Node) string {
	name := fmt.Sprintf("%s[%d]", field, i)
	for _, by := range []string{text(n), text(value(n, "name")), text(value(n, "path"))} {
		if by != "" && !strings.Contains(by, "\n") {
			return fmt.Sprintf("%s %q", name, by)
		}
	}
	if t := value(n, "target"); t != nil {
		return name + " on " + strings.Trim(text(value(t, "kind"))+"/"+text(value(t, "name")), "/")
	}
	return name
}

// patch notes an entry, and each operation of it where it has several.
func (l *lab) patch(f *file, field string, i int, n *yaml.Node) error {
	name := entryName(field, i, n)
	l.tangled = l.tangled || value(n, "options") != nil
	l.add(Override{Kind: field, Name: name, Text: brief(n)}, f, n, nil)
	where, within := text(n), (*yaml.Node)(nil)
	if n.Kind == yaml.MappingNode {
		where, within = text(value(n, "path")), value(n, "patch")
	}
	if within != nil {
		var doc yaml.Node
		if yaml.Unmarshal([]byte(within.Value), &doc) == nil && len(doc.Content) > 0 {
			l.operations(f, name, &doc, &inline{within, &doc})
		}
		return nil
	}
	other := path.Join(path.Dir(f.name), where)
	if where == "" || strings.Contains(where, "\n") || !l.was(other) {
		return nil
	}
	p, err := l.open(other)
	if p != nil {
		l.operations(p, name, p.doc, nil)
	}
	return err
}

func (l *lab) operations(f *file, name string, doc *yaml.Node, in *inline) {
	list := items(resolved(doc.Content[0]))
	for _, n := range list {
		if len(list) > 1 {
			l.add(Override{Kind: "operation", Name: fmt.Sprintf("%s: %s %s", name, text(value(n, "op")),
				text(value(n, "path"))), Text: brief(n)}, f, n, in)
		}
	}
}

// generator notes the literals and files that something is generated from.
func (l *lab) generator(f *file, field string, i int, n *yaml.Node) {
	at := fmt.Sprintf("%s[%d] %q", field, i, text(value(n, "name")))
	for _, list := range []string{"literals", "files", "envs"} {
		for _, item := range items(value(n, list)) {
			key, says, _ := strings.Cut(text(item), "=")
			if strings.EqualFold(field, "secretGenerator") && list == "literals" {
				says = "(hidden)"
			}
			l.add(Override{Kind: field, Name: at + " " + key, Text: says}, f, item, nil)
		}
	}
	if env := value(n, "env"); env != nil {
		l.add(Override{Kind: field, Name: at + " " + env.Value, Text: env.Value}, f, env, nil)
	}
}
