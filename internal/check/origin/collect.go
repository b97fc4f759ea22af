package origin

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/check/finding"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// inventory is every override of an environment.
type inventory struct {
	overrides []Override
	several   []string // files of several documents, whose overrides are not collected
	// tangled: where an object is written does not tell which overrides change it. A replacement may copy a
	// value to it from elsewhere, or a patch may rename it.
	tangled bool
}

// file is a file that holds overrides.
type file struct {
	name string
	doc  *yaml.Node
	docs []*yaml.Node // of a file of patches, which may have several; else doc alone
}

// entry is the entry of a kustomization that an override is in: an item of a list, or the key of a field.
type entry struct {
	file *file
	node *yaml.Node
}

// node is an override in a file, or in a document that is inside a scalar of the file.
type node struct {
	*yaml.Node
	inside *inline
}

// inline is a scalar that is documents by itself.
type inline struct {
	scalar *yaml.Node
	docs   []*yaml.Node
}

// patch is what a patch says: a document in the kustomization, or of a file of its own.
type patch struct {
	file   *file
	doc    *yaml.Node
	inside *inline // nil: a file of its own
}

// collector gathers overrides from the files that a render has read.
type collector struct {
	inventory
	view  *tree.View
	read  map[string]bool
	files map[string]*file // nil: the file is not one YAML document
}

// collect returns the overrides of an environment, given what rendering it has read.
func collect(
	v *tree.View, reads tree.Reads, env project.Environment, charts []project.Chart,
) (inventory, error) {
	c := collector{view: v, read: map[string]bool{}, files: map[string]*file{}}
	var kustomizations []string
	for _, s := range reads.List() {
		if s.Kind != tree.File {
			continue
		}
		c.read[s.Path] = true
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(s.Path)) {
			kustomizations = append(kustomizations, s.Path)
		}
	}
	seen := map[string]bool{}
	for _, name := range kustomizations {
		if err := c.kustomization(name, seen); err != nil {
			return inventory{}, err
		}
	}
	if err := c.charts(env, charts); err != nil {
		return inventory{}, err
	}
	if env.Skaffold != nil && len(charts) > 0 {
		if err := c.skaffold(env.Skaffold.File); err != nil {
			return inventory{}, err
		}
	}
	return c.inventory, nil
}

// open parses a file once. It returns nil for a file that is not one YAML document: that holds no override.
func (c *collector) open(name string) (*file, error) {
	f, err := c.openAll(name)
	if f == nil || len(f.docs) == 1 {
		return f, err
	}
	if !slices.Contains(c.several, name) {
		c.several = append(c.several, name)
	}
	return nil, nil
}

// openAll parses a file once. It returns nil for a file without a document.
func (c *collector) openAll(name string) (*file, error) {
	if f, ok := c.files[name]; ok {
		return f, nil
	}
	if _, err := c.view.File(name); err != nil {
		return nil, err
	}
	docs, _ := c.view.Documents(name)
	c.files[name] = nil
	if docs = withContent(docs); len(docs) > 0 {
		c.files[name] = &file{name: name, doc: docs[0], docs: docs}
	}
	return c.files[name], nil
}

// withContent leaves out empty documents.
func withContent(docs []*yaml.Node) []*yaml.Node {
	return slices.DeleteFunc(slices.Clone(docs), func(n *yaml.Node) bool {
		return len(n.Content) == 0 || n.Content[0].ShortTag() == "!!null"
	})
}

func (c *collector) add(o Override, f *file, n *yaml.Node, inside *inline) {
	o.file, o.node, o.rank = f, &node{n, inside}, len(c.overrides)
	if o.Place.File == "" {
		o.Place = placeOf(f, n, inside)
	}
	c.overrides = append(c.overrides, o)
}

// placeOf is where a node is written. In an inline document the column is not known, and the lines of a block
// scalar begin below the scalar's own.
func placeOf(f *file, n *yaml.Node, inside *inline) finding.Place {
	if inside == nil {
		return finding.Place{File: f.name, Line: n.Line, Column: n.Column}
	}
	line := inside.scalar.Line + n.Line
	if inside.scalar.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		line--
	}
	return finding.Place{File: f.name, Line: line}
}

// value returns what a mapping has for a key, in whatever case the key is written.
func value(n *yaml.Node, key string) *yaml.Node {
	n = resolved(n)
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return resolved(n.Content[i+1])
		}
	}
	return nil
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func resolved(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func text(n *yaml.Node) string {
	if n = resolved(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// brief is what a node says, on one line.
func brief(n *yaml.Node) string {
	s := strings.Join(strings.Fields(string(change{}.print(n))), " ")
	if n.Kind == yaml.ScalarNode {
		s = strings.Join(strings.Fields(n.Value), " ")
	}
	if r := []rune(s); len(r) > 80 {
		s = string(r[:79]) + "…"
	}
	return s
}
