//lint:file-ignore SA1019 what Kustomize deprecates is built as long as it builds it

package kustomize

import (
	"errors"
	"fmt"
	"path"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/render/tree"
)

const managedBy = "kustomize-v5.8.2"

// accumulate does what one kustomization says to a pile, which is empty, or a component's parent's.
func (l *layer) accumulate(p *pile) error {
	if err := l.include(p, l.k.Resources, l.entries("resources", "bases")); err != nil {
		return err
	}
	for _, step := range []func(*pile) error{l.configure, l.generate, l.components, l.transform, l.validate} {
		if err := step(p); err != nil {
			return err
		}
	}
	vars := l.entries("vars")
	for i, v := range l.k.Vars {
		if err := p.refer(v); err != nil {
			return l.fail(vars.item(i), err)
		}
	}
	if err := p.vars.MergeSlice(l.k.Vars); err != nil {
		return l.fail(l.field("vars"), err)
	}
	return nil
}

// include takes in files of resources, and folders that hold a kustomization.
func (l *layer) include(p *pile, paths []string, at entries) error {
	for i, name := range paths {
		l.now = at.item(i)
		rel, err := l.resolve(name)
		if err == nil {
			var kind tree.Kind
			if kind, err = l.view.Kind(rel); err == nil && kind == tree.Folder {
				err = l.folder(p, name, rel)
			} else if err == nil {
				err = l.resources(p, name)
			}
		}
		if err != nil {
			return l.blame(name, err)
		}
	}
	return nil
}

// resources takes in a file.
func (l *layer) resources(p *pile, name string) error {
	text, rel, err := l.text(name)
	if err != nil {
		return err
	}
	list, origins, err := parse(text, rel)
	if err != nil {
		return err
	}
	for i, r := range list {
		if l.origin != nil {
			if err := r.SetOrigin(l.origin.Append(name)); err != nil {
				return err
			}
		}
		if err := p.append(r, origins[i]); err != nil {
			return err
		}
	}
	return nil
}

// folder takes in a base.
func (l *layer) folder(p *pile, name, dir string) error {
	if err := l.circle(dir); err != nil {
		return err
	}
	sub, err := l.base(name, dir)
	if errors.Is(err, errNone) {
		return fmt.Errorf("%s has no kustomization.yaml: name its files one by one", name)
	}
	if err != nil {
		return err
	}
	return p.merge(sub)
}

// circle refuses a folder that includes what includes it. One that is above it is taken for the same.
func (l *layer) circle(dir string) error {
	for a := l; a != nil; a = a.above {
		if below(a.dir, dir) {
			return fmt.Errorf("%s goes round in a circle: it is or holds the folder of %s, which leads here", dir,
				a.file)
		}
	}
	return nil
}

// under reads the kustomization of a folder that this one includes.
func (l *layer) under(name, dir string) (*layer, error) {
	sub, err := l.layer(dir)
	if err != nil {
		return nil, err
	}
	sub.above = l
	sub.k.BuildMetadata = l.k.BuildMetadata
	if l.origin != nil {
		sub.origin = l.origin.Append(name)
	}
	if sub.namespace = l.k.Namespace; sub.namespace == "" {
		sub.namespace = l.namespace
	}
	return sub, nil
}

// components does to the pile what components say.
func (l *layer) components(p *pile) error {
	at := l.entries("components")
	for i, name := range l.k.Components {
		l.now = at.item(i)
		if err := l.component(p, name); err != nil {
			return l.blame(name, err)
		}
	}
	return nil
}

func (l *layer) component(p *pile, name string) error {
	dir, err := l.resolve(name)
	if err != nil {
		return err
	}
	kind, err := l.view.Kind(dir)
	if err != nil {
		return err
	}
	if kind != tree.Folder {
		return fmt.Errorf("%s is no folder", name)
	}
	if err := l.circle(dir); err != nil {
		return err
	}
	sub, err := l.under(name, dir)
	if errors.Is(err, errNone) {
		return fmt.Errorf("%s has no kustomization.yaml", name)
	}
	if err != nil {
		return err
	}
	if sub.k.Kind != types.ComponentKind {
		return fmt.Errorf("%s is no component: %s has kind %s", name, sub.file, sub.k.Kind)
	}
	if err := sub.accumulate(p); err != nil {
		return err
	}
	return p.unique()
}

// openapi sets the schema that a kustomization asks for, unless one that includes it has done so.
func (l *layer) openapi() error {
	if !l.alone {
		return errAlone
	}
	l.now = l.field("openapi")
	var text []byte
	if name, ok := l.k.OpenAPI["path"]; ok {
		l.now.node = find(l.node, "openapi")
		var err error
		if text, err = l.Load(name); err != nil {
			return err
		}
	}
	if err := openapi.SetSchema(l.k.OpenAPI, text, !l.schema); err != nil {
		return l.fail(l.now, err)
	}
	l.schema = true
	return nil
}

// base is what a folder's kustomization gives, with what it took to get there.
type base struct {
	pile     *pile
	reads    tree.Reads
	roots    []string // the folders that it includes, itself among them
	warnings []string
}

type baseKey struct {
	dir          string
	unrestricted bool
}

// What one build may include for the second time: so many bases, or so many values in them, to which
// comes what the library notes at each object.
const (
	maxAgain  = 1_000
	maxCopied = 2_000_000
	perObject = 100
)

// base accumulates a folder's kustomization, or copies what was accumulated before.
func (l *layer) base(name, dir string) (*pile, error) {
	key := baseKey{dir, l.options.LoadRestrictionsNone}
	again := l.used[key]
	if again {
		if err := l.spend(maxCopied / maxAgain); err != nil {
			return nil, err
		}
	}
	l.used[key] = true
	if b := l.cached(key); l.alone || l.origin != nil || l.view.IsEdited() &&
		(b == nil || l.view.Differs(b.reads)) {
		return l.fresh(name, dir)
	}
	if !l.filling {
		select {
		case l.Builder.filling <- struct{}{}:
		case <-l.view.Context().Done():
			return nil, l.view.Context().Err()
		}
		l.filling = true
		defer func() {
			l.filling = false
			<-l.Builder.filling
		}()
	}
	if b := l.cached(key); b != nil {
		l.view.Replay(b.reads)
		for _, root := range b.roots {
			if err := l.circle(root); err != nil {
				return nil, err
			}
		}
		l.roots, l.warnings = append(l.roots, b.roots...), append(l.warnings, b.warnings...)
		return l.copy(b, again)
	}
	b, private, err := l.fill(name, dir)
	if err != nil || private {
		return b.pile, err
	}
	l.mu.Lock()
	l.bases[key] = b
	l.mu.Unlock()
	return l.copy(b, again)
}

func (b *Builder) cached(key baseKey) *base {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bases[key]
}

func (b *build) spend(values int) error {
	if b.copied += values; b.copied > maxCopied {
		return errors.New("what is included again and again has no end: do bases include each other several " +
			"times over?")
	}
	return nil
}

// fill accumulates a base, and notes apart what that took. It says whether the result is only for this build.
func (l *layer) fill(name, dir string) (b *base, private bool, err error) {
	b = &base{}
	was := *l.build
	l.private, l.roots, l.warnings = false, nil, nil
	b.reads, err = was.view.Apart(func(v *tree.View) error {
		l.view = v
		defer func() { l.view = was.view }()
		var err error
		b.pile, err = l.fresh(name, dir)
		return err
	})
	private, b.roots, b.warnings = l.private, l.roots, l.warnings
	l.private, l.roots, l.warnings = was.private || private, append(was.roots, b.roots...),
		append(was.warnings, b.warnings...)
	return b, private, err
}

func (l *layer) fresh(name, dir string) (*pile, error) {
	sub, err := l.under(name, dir)
	if err != nil {
		return nil, err
	}
	if sub.k.Kind == types.ComponentKind {
		return nil, fmt.Errorf("%s is a component: name it under components", name)
	}
	p := newPile()
	return p, sub.accumulate(p)
}

// copy gives a build its own copy of a base.
func (l *layer) copy(b *base, again bool) (*pile, error) {
	p := newPile()
	p.specs, p.vars = b.pile.specs, b.pile.vars.Copy()
	p.list = make([]*resource.Resource, 0, len(b.pile.list))
	for _, r := range b.pile.list {
		n, size := copyNode(r.YNode())
		if again {
			if err := l.spend(size + perObject); err != nil {
				return nil, err
			}
		}
		c := &resource.Resource{RNode: *kyaml.NewRNode(n)}
		for _, v := range r.GetRefVarNames() {
			c.AppendRefVarName(types.Var{Name: v})
		}
		p.list = append(p.list, c)
		p.origins[c] = b.pile.origins[r]
	}
	return p, nil
}

// copyNode copies a node with all below it, in one piece of memory, and counts them.
func copyNode(n *yaml.Node) (*yaml.Node, int) {
	nodes, links := 0, 0
	var count func(*yaml.Node)
	count = func(n *yaml.Node) {
		nodes++
		links += len(n.Content)
		for _, c := range n.Content {
			count(c)
		}
	}
	count(n)
	block, content := make([]yaml.Node, nodes), make([]*yaml.Node, links)
	var clone func(*yaml.Node) *yaml.Node
	clone = func(n *yaml.Node) *yaml.Node {
		c := &block[0]
		block = block[1:]
		*c = *n
		if k := len(n.Content); k > 0 {
			c.Content, content = content[:k:k], content[k:]
			for i, child := range n.Content {
				c.Content[i] = clone(child)
			}
		}
		return c
	}
	return clone(n), nodes
}

// pluginConfigs accumulates what generators, transformers and validators hold, or name by its path.
func (l *layer) pluginConfigs(texts []string, field string) (*pile, error) {
	p, at := newPile(), l.entries(field)
	var paths []string
	var where entries
	for i, text := range texts {
		list, _, err := parse([]byte(text), l.file)
		if err != nil {
			paths, where = append(paths, text), append(where, at.item(i))
			continue
		}
		for _, r := range list {
			if l.origin != nil {
				if err := r.SetOrigin(l.origin.Append(path.Base(l.file))); err != nil {
					return nil, err
				}
			}
			if err := p.append(r, l.at(at.item(i))); err != nil {
				return nil, err
			}
		}
	}
	return p, l.include(p, paths, where)
}
