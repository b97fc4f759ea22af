package origin

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
)

// kustomization collects the overrides of a kustomization, after those of the bases that it includes.
func (c *collector) kustomization(name string, seen map[string]bool) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	f, err := c.open(name)
	if f == nil {
		return err
	}
	top := resolved(f.doc.Content[0])
	for _, field := range []string{"resources", "bases", "components"} {
		for _, n := range items(value(top, field)) {
			for _, base := range konfig.RecognizedKustomizationFileNames() {
				below := path.Join(path.Dir(name), n.Value, base)
				if !c.read[below] {
					continue
				}
				if err := c.kustomization(below, seen); err != nil {
					return err
				}
			}
		}
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		if err := c.field(f, top.Content[i], resolved(top.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

// settings is the kind of what a kustomization says about how to build. It is never reported as dead.
const settings = "settings"

// tangling are the fields of a kustomization that may carry a value from one object to another.
var tangling = []string{"replacements", "vars", "transformers", "configurations"}

// field collects what one field of a kustomization says.
func (c *collector) field(f *file, key, v *yaml.Node) error {
	field, kind := key.Value, strings.ToLower(key.Value)
	c.tangled = c.tangled || slices.Contains(tangling, kind)
	switch kind {
	case "nameprefix", "namesuffix", "namespace":
		c.add(Override{Kind: field, Name: field, Text: brief(v), entry: &entry{f, key}}, f, v, nil)
	case "commonlabels", "commonannotations":
		c.pairs(f, Override{Kind: field, Name: field, entry: &entry{f, key}}, v)
	case "generatoroptions", "buildmetadata", "openapi":
		c.add(Override{Kind: settings, Name: field, Text: brief(v)}, f, v, nil)
	}
	for i, n := range items(v) {
		var err error
		in := &entry{f, resolved(n)}
		switch kind {
		case "labels":
			name := fmt.Sprintf("%s[%d].pairs", field, i)
			c.pairs(f, Override{Kind: field, Name: name, entry: in}, value(n, "pairs"))
		case "images", "replicas", "components", "replacements", "transformers":
			c.add(Override{Kind: field, Name: entryName(field, i, n), Text: brief(n), entry: in}, f, n, nil)
		case "generators", "vars", "configurations", "crds":
			c.add(Override{Kind: settings, Name: entryName(field, i, n), Text: brief(n)}, f, n, nil)
		case "patches", "patchesstrategicmerge", "patchesjson6902":
			err = c.patch(f, field, i, n)
		case "configmapgenerator", "secretgenerator":
			c.generator(f, field, i, n)
		case "helmcharts":
			if inline := value(n, "valuesInline"); inline != nil {
				c.leaves(f, fmt.Sprintf("%s[%d].valuesInline", field, i), inline, in.of)
			}
			err = c.inflatedValues(f, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// of says that an override is part of the entry.
func (e *entry) of(o *Override) { o.entry = e }

// inflatedValues collects the values files of an entry of helmCharts.
func (c *collector) inflatedValues(f *file, inflated *yaml.Node) error {
	files := append([]*yaml.Node{value(inflated, "valuesFile")},
		items(value(inflated, "additionalValuesFiles"))...)
	for _, n := range files {
		name := path.Join(path.Dir(f.name), text(n))
		if text(n) == "" || !c.read[name] {
			continue
		}
		other, err := c.open(name)
		if err != nil {
			return err
		}
		if other != nil {
			c.leaves(other, "", resolved(other.doc.Content[0]), (&entry{f, resolved(inflated)}).of)
		}
	}
	return nil
}

// pairs collects each pair of a mapping, as a part of what the given override stands for.
func (c *collector) pairs(f *file, of Override, n *yaml.Node) {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		v, o := n.Content[i+1], of
		o.Name, o.Text = of.Name+"."+n.Content[i].Value, brief(v)
		c.add(o, f, v, nil)
	}
}

// entryName is what an item of a list is called: images[0] "myapp".
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

// patch collects a patch, and its operations where it has several. Each document of one that has several is
// an override of its own.
func (c *collector) patch(f *file, field string, i int, n *yaml.Node) error {
	name, in := entryName(field, i, n), &entry{f, resolved(n)}
	c.tangled = c.tangled || value(n, "options") != nil
	of, inside, err := c.patchText(f, n)
	if err != nil {
		return err
	}
	var docs []*yaml.Node
	if inside != nil {
		docs = inside.docs
	} else if of != nil {
		docs = of.docs
	}
	if len(docs) > 1 {
		for _, doc := range docs {
			root := resolved(doc.Content[0])
			o := Override{
				Kind: field, Name: name + ": " + objectName(root), Text: brief(root), patch: &patch{of, doc, inside},
				entry: in,
			}
			if inside == nil {
				o.entry = &entry{of, root}
			}
			c.add(o, of, root, inside)
		}
		return nil
	}
	o := Override{Kind: field, Name: name, Text: brief(n), entry: in}
	if len(docs) == 1 {
		o.patch = &patch{of, docs[0], inside}
	}
	c.add(o, f, n, nil)
	if o.patch == nil {
		return nil
	}
	operations := items(resolved(o.patch.doc.Content[0]))
	for _, op := range operations {
		if len(operations) > 1 {
			title := fmt.Sprintf("%s: %s %s", name, text(value(op, "op")), text(value(op, "path")))
			c.add(Override{Kind: "operation", Name: title, Text: brief(op), entry: in}, of, op, inside)
		}
	}
	return nil
}

// objectName is the kind and name of the object that a document is about.
func objectName(doc *yaml.Node) string {
	return text(value(doc, "kind")) + "/" + text(value(value(doc, "metadata"), "name"))
}

// patchText returns the file that an entry names, or its own with what it says there; nil where that cannot
// be read.
func (c *collector) patchText(f *file, n *yaml.Node) (*file, *inline, error) {
	name, inner := text(n), (*yaml.Node)(nil)
	if n.Kind == yaml.MappingNode {
		name, inner = text(value(n, "path")), value(n, "patch")
	} else if strings.Contains(name, "\n") {
		inner = n
	}
	if inner != nil {
		docs, err := documents(inner.Value)
		if docs = withContent(docs); err != nil || len(docs) == 0 {
			return nil, nil, nil
		}
		return f, &inline{inner, docs}, nil
	}
	if name = path.Join(path.Dir(f.name), name); !c.read[name] {
		return nil, nil, nil
	}
	other, err := c.openAll(name)
	return other, nil, err
}

func documents(text string) (docs []*yaml.Node, err error) {
	for stream := yaml.NewDecoder(strings.NewReader(text)); ; {
		var n yaml.Node
		if err := stream.Decode(&n); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			return nil, err
		}
		docs = append(docs, &n)
	}
}

// generator collects the literals and files that an object is generated from.
func (c *collector) generator(f *file, field string, i int, n *yaml.Node) {
	at, in := fmt.Sprintf("%s[%d] %q", field, i, text(value(n, "name"))), &entry{f, resolved(n)}
	for i := 0; i+1 < len(n.Content); i += 2 { // some files have a list twice, and Kustomize takes both
		list := strings.ToLower(n.Content[i].Value)
		if list == "options" {
			c.add(Override{Kind: settings, Name: at + " options", Text: brief(n.Content[i+1])}, f, n.Content[i+1], nil)
		}
		if !slices.Contains([]string{"literals", "files", "envs"}, list) {
			continue
		}
		for _, item := range items(resolved(n.Content[i+1])) {
			key, says, _ := strings.Cut(text(item), "=")
			if strings.EqualFold(field, "secretGenerator") && list == "literals" {
				says = "(hidden)"
			}
			c.add(Override{Kind: field, Name: at + " " + key, Text: says, entry: in}, f, item, nil)
		}
	}
	if env := value(n, "env"); env != nil {
		c.add(Override{Kind: field, Name: at + " " + env.Value, Text: env.Value, entry: in}, f, env, nil)
	}
}
