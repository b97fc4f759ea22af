package render

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resmap"

	"slipway/internal/object"
)

// sources says where each resource was written, from the notes that Kustomize made.
func (b *build) sources(m resmap.ResMap) []object.Origin {
	lines := map[string][]named{}
	out := make([]object.Origin, m.Size())
	for i, r := range m.Resources() {
		note, err := r.GetOrigin()
		if err != nil || note == nil || note.Repo != "" {
			continue
		}
		file := note.Path
		if file == "" {
			file = note.ConfiguredIn
		}
		if file = path.Join(b.overlay, file); b.tree.files[file] == nil {
			continue
		}
		if lines[file] == nil {
			lines[file] = index(b.tree.files[file], isKustomization(file))
		}
		out[i] = object.Origin{File: file, Line: lineOf(lines[file], r.GetKind(), r.GetName())}
	}
	return out
}

// named is something in a file that becomes an object.
type named struct {
	kind, name string
	line       int
}

// index lists what a file holds. A kustomization holds generators.
func index(text []byte, kustomization bool) []named {
	entries := []named{} // never nil: nil means that the file was not looked at yet
	stream := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if stream.Decode(&doc) != nil {
			return entries
		}
		if len(doc.Content) == 0 {
			continue
		}
		n := doc.Content[0]
		if !kustomization {
			entries = append(entries, documents(n)...)
			continue
		}
		for field, kind := range map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"} {
			for _, g := range content(value(n, field)) {
				entries = append(entries, named{kind, scalar(value(g, "name")), g.Line})
			}
		}
	}
}

func documents(n *yaml.Node) []named {
	if items := value(n, "items"); items != nil && strings.HasSuffix(scalar(value(n, "kind")), "List") {
		var entries []named
		for _, item := range items.Content {
			entries = append(entries, documents(item)...)
		}
		return entries
	}
	return []named{{scalar(value(n, "kind")), scalar(value(value(n, "metadata"), "name")), n.Line}}
}

// lineOf finds what became the object of that kind and name. Prefixes, suffixes and hashes may have
// been put around the name that the file has.
func lineOf(entries []named, kind, name string) int {
	best := named{}
	for _, e := range entries {
		if e.kind != kind || e.name == "" || !strings.Contains(name, e.name) {
			continue
		}
		if best.line == 0 || len(e.name) > len(best.name) {
			best = e
		}
	}
	return best.line
}

func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	n = resolve(n)
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

func content(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func scalar(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}
