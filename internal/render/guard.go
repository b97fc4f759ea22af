package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/object"
	"slipway/internal/project"
)

// More entries than this in one kustomization have so far been an attack.
const maxEntries = 10_000

// deprecated are the fields that Kustomize warns about on its standard error, with what to write.
var deprecated = []struct{ key, instead string }{
	{"bases", "write resources"},
	{"commonLabels", "it also writes selectors, which cannot change later: write labels with includeSelectors: false"},
	{"imageTags", "write images"},
	{"patchesJson6902", "write patches"},
	{"patchesStrategicMerge", "write patches"},
	{"vars", "write replacements"},
}

// guard looks through a kustomization for what is not done here and for paths that lead nowhere,
// while its lines are known.
func (b *build) guard(file string, text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) == 0 {
		return nil // Kustomize says what is wrong
	}
	g := guard{build: b, file: file, folder: path.Dir(file)}
	return g.pairs(doc.Content[0], func(k, v *yaml.Node) error {
		for _, d := range deprecated {
			if strings.EqualFold(k.Value, d.key) && v.ShortTag() != "!!null" {
				b.warnings = append(b.warnings, fmt.Sprintf("%s:%d: %s is deprecated: %s", file, k.Line, d.key, d.instead))
			}
		}
		if g.entries += len(v.Content); g.entries > maxEntries {
			return g.fail(k, "more than %d entries", maxEntries)
		}
		return g.field(k, v)
	})
}

type guard struct {
	*build
	file, folder string
	entries      int
	depth        int
}

func (g *guard) at(n *yaml.Node) object.Origin { return object.Origin{File: g.file, Line: n.Line} }

func (g *guard) fail(n *yaml.Node, format string, args ...any) error {
	return &object.ReadError{File: g.file, Line: n.Line, Err: fmt.Errorf(format, args...)}
}

// field looks at one field of a kustomization. Kustomize takes keys in any case.
func (g *guard) field(k, v *yaml.Node) error {
	is := func(names ...string) bool {
		for _, n := range names {
			if strings.EqualFold(k.Value, n) {
				return true
			}
		}
		return false
	}
	switch {
	case is("helmCharts", "helmChartInflationGenerator") && len(v.Content) > 0:
		return &RefusedError{Origin: g.at(k), What: k.Value, Why: "charts are not rendered within a kustomization yet"}
	case is("resources", "bases", "components"):
		return g.each(v, func(n *yaml.Node) error { return g.source(k.Value, n) })
	case is("crds", "configurations"):
		return g.each(v, func(n *yaml.Node) error { return g.path(k.Value, n, n.Value) })
	case is("generators", "transformers", "validators"):
		return g.each(v, func(n *yaml.Node) error {
			if strings.ContainsAny(n.Value, "\n{") {
				return g.plugins(n, []byte(n.Value))
			}
			return g.source(k.Value, n)
		})
	case is("patchesStrategicMerge"):
		return g.each(v, func(n *yaml.Node) error {
			if strings.ContainsAny(n.Value, "\n{") {
				return nil
			}
			return g.path(k.Value, n, n.Value)
		})
	case is("patches", "patchesJson6902", "replacements"):
		return g.each(v, func(n *yaml.Node) error { return g.inside(k.Value, n, "path") })
	case is("configMapGenerator", "secretGenerator"):
		return g.each(v, func(n *yaml.Node) error { return g.inside(k.Value, n, "files", "envs", "env") })
	case is("images"):
		return g.each(v, func(n *yaml.Node) error { return g.pairs(n, g.image) })
	case is("openapi") && len(v.Content) > 0:
		if err := g.inside(k.Value, v, "path"); err != nil {
			return err
		}
		if !g.alone {
			return errAlone
		}
	}
	return nil
}

// pairs visits a mapping, what is merged into it included.
func (g *guard) pairs(n *yaml.Node, visit func(k, v *yaml.Node) error) error {
	n = resolve(n)
	if g.depth++; g.depth > 100 {
		return g.fail(n, "nested too deep")
	}
	defer func() { g.depth-- }()
	if n.Kind == yaml.SequenceNode { // a list of mappings to merge
		return g.each(n, func(n *yaml.Node) error { return g.pairs(n, visit) })
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		var err error
		if k.ShortTag() == "!!merge" {
			err = g.pairs(v, visit)
		} else {
			err = visit(k, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) each(n *yaml.Node, visit func(*yaml.Node) error) error {
	for _, c := range n.Content {
		if n.Kind != yaml.SequenceNode {
			break
		}
		if err := visit(resolve(c)); err != nil {
			return err
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && i < 100; i++ {
		n = n.Alias
	}
	return n
}

// inside looks at the paths that an entry of a field names.
func (g *guard) inside(field string, entry *yaml.Node, keys ...string) error {
	return g.pairs(entry, func(k, v *yaml.Node) error {
		for _, key := range keys {
			if !strings.EqualFold(k.Value, key) {
				continue
			}
			if v.Kind == yaml.SequenceNode {
				return g.each(v, func(n *yaml.Node) error { return g.keyed(field, n) })
			}
			return g.keyed(field, v)
		}
		return nil
	})
}

// image warns of a name that Kustomize, which takes names for patterns, cannot match with anything.
func (g *guard) image(k, v *yaml.Node) error {
	if !strings.EqualFold(k.Value, "name") {
		return nil
	}
	if _, err := regexp.Compile(v.Value); err != nil {
		g.warnings = append(g.warnings, fmt.Sprintf("%s:%d: images: %q is no valid pattern and matches no image", g.file, v.Line, v.Value))
	}
	return nil
}

// keyed is a path, or key=path.
func (g *guard) keyed(field string, n *yaml.Node) error {
	if _, file, ok := strings.Cut(n.Value, "="); ok {
		return g.path(field, n, file)
	}
	return g.path(field, n, n.Value)
}

var userAt = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// remote says whether Kustomize would fetch a path, or something that looks enough like it.
func remote(p string) bool {
	p = strings.ToLower(p)
	for _, prefix := range []string{"http:", "https:", "git::", "github.com/", "github.com:"} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	return strings.Contains(p, "://") || userAt.MatchString(p)
}

// path is a file that Kustomize reads.
func (g *guard) path(field string, n *yaml.Node, p string) error {
	if n.Kind != yaml.ScalarNode || p == "" {
		return nil
	}
	if remote(p) {
		return &RefusedError{Origin: g.at(n), What: field + ": " + p, Why: "nothing is fetched while rendering"}
	}
	rel, err := g.within(field, n, p)
	if err != nil {
		return err
	}
	if !below(rel, g.folder) && !g.tree.isFolder(rel) {
		return g.fail(n, "%s: %s: Kustomize takes single files only from %s and below: make what holds it a kustomization and name its folder", field, p, g.folder)
	}
	return nil
}

// source is a file of objects, or a folder with a kustomization.
func (g *guard) source(field string, n *yaml.Node) error {
	if err := g.path(field, n, n.Value); err != nil || n.Value == "" {
		return err
	}
	rel, err := g.within(field, n, n.Value)
	if err != nil || !g.tree.isFolder(rel) {
		return err
	}
	name, err := g.tree.kustomization(rel)
	if err != nil {
		return err
	}
	if name == "" {
		return g.fail(n, "%s: %s has no kustomization.yaml: name its files one by one", field, n.Value)
	}
	return nil
}

// within is where a path leads to, relative to the project.
func (g *guard) within(field string, n *yaml.Node, p string) (string, error) {
	if path.IsAbs(p) {
		return "", &RefusedError{Origin: g.at(n), What: field + ": " + p, Why: "an absolute path is outside the project"}
	}
	rel, err := g.tree.real(join(g.folder, p))
	if strings.HasPrefix(join(g.folder, p), "../") || join(g.folder, p) == ".." {
		err = &RefusedError{What: p, Why: "it is outside the project"}
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return "", &RefusedError{Origin: g.at(n), What: field + ": " + p, Why: refused.Why}
	}
	if err != nil {
		return "", &object.ReadError{File: g.file, Line: n.Line, Err: fmt.Errorf("%s: %w", field, err)}
	}
	return rel, nil
}

func below(p, folder string) bool {
	return folder == "." || p == folder || strings.HasPrefix(p, folder+"/")
}

// guardPlugins looks at a file that may configure Kustomize's own generators and transformers.
func (b *build) guardPlugins(file string, text []byte) error {
	g := guard{build: b, file: file, folder: path.Dir(file)}
	return g.plugins(nil, text)
}

// plugins refuses addresses in configurations of Kustomize's own plugins, whatever key they are at.
func (g *guard) plugins(at *yaml.Node, text []byte) error {
	stream := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		if err := stream.Decode(&doc); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return nil // no YAML, no plugin
		}
		if len(doc.Content) == 0 {
			continue
		}
		builtin := false
		var found *yaml.Node
		err := g.pairs(doc.Content[0], func(k, v *yaml.Node) error {
			if strings.EqualFold(k.Value, "apiVersion") {
				builtin = strings.EqualFold(v.Value, "builtin")
			}
			if n := address(v, 0); n != nil && found == nil {
				found = n
			}
			return nil
		})
		if err != nil {
			return err
		}
		if builtin && found != nil {
			if at == nil {
				at = found
			}
			return &RefusedError{Origin: g.at(at), What: found.Value, Why: "nothing is fetched while rendering"}
		}
	}
}

// address finds a scalar that Kustomize would fetch if it were a path.
func address(n *yaml.Node, depth int) *yaml.Node {
	if depth > 100 {
		return nil
	}
	n = resolve(n)
	if n.Kind == yaml.ScalarNode {
		_, value, _ := strings.Cut(n.Value, "=")
		for _, p := range []string{n.Value, value} {
			p = strings.ToLower(p)
			if strings.HasPrefix(p, "http:") || strings.HasPrefix(p, "https:") {
				return n
			}
		}
		return nil
	}
	for _, c := range n.Content {
		if found := address(c, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// keyNode finds a key anywhere in a text.
func keyNode(text []byte, key string) *yaml.Node {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil {
		return nil
	}
	var find func(*yaml.Node) *yaml.Node
	find = func(n *yaml.Node) *yaml.Node {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == key {
				return c
			}
			if found := find(c); found != nil {
				return found
			}
		}
		return nil
	}
	return find(&doc)
}

// didYouMean suggests a field of a kustomization.
func didYouMean(word string) string {
	var known []string
	t := reflect.TypeFor[types.Kustomization]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" {
			known = append(known, name)
		}
	}
	if s := project.Suggest(word, known); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}
