package kustomize

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/render/tree"
)

// base is the result of a directory's kustomization.
type base struct {
	resources *resources
	reads     tree.Reads
	notes
}

type baseKey struct {
	dir          string
	unrestricted bool
}

// What one build may include for the second time: so many bases, or so many values in them, and for each
// object what the library notes at it.
const (
	maxRepeated = 1_000
	maxCopied   = 2_000_000
	perObject   = 100
)

// resourcesOfBase accumulates a directory's kustomization, or copies what was accumulated before.
func resourcesOfBase(l *layer, name, dir string) (*resources, error) {
	b := l.build
	key := baseKey{dir, b.options.LoadRestrictionsNone}
	repeated := b.used[key]
	if repeated {
		if err := b.spend(maxCopied / maxRepeated); err != nil {
			return nil, err
		}
	}
	b.used[key] = true
	known := b.known(key)
	if b.exclusive || l.origin != nil || l.view.IsEdited() && (known == nil || l.view.Differs(known.reads)) {
		return accumulateBase(l, l.scope, name, dir)
	}
	if !l.held {
		select {
		case b.filling <- struct{}{}:
			defer func() { <-b.filling }()
		case <-l.view.Context().Done():
			return nil, l.view.Context().Err()
		}
	}
	known = b.known(key)
	if known == nil {
		filled, err := fillBase(l, name, dir)
		l.add(filled.notes)
		if err != nil || filled.private {
			return filled.resources, err
		}
		b.mu.Lock()
		b.bases[key] = filled
		b.mu.Unlock()
		return b.copy(filled, repeated)
	}
	l.view.Replay(known.reads)
	for _, d := range known.dirs {
		if err := checkCircle(l, d); err != nil {
			return nil, err
		}
	}
	l.add(known.notes)
	return b.copy(known, repeated)
}

func (b *Builder) known(key baseKey) *base {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bases[key]
}

func (b *build) spend(values int) error {
	if b.copied += values; b.copied > maxCopied {
		return errors.New("bases are included too many times: " +
			"check for bases that include each other several times")
	}
	return nil
}

// fillBase accumulates a base in a scope of its own.
func fillBase(l *layer, name, dir string) (*base, error) {
	b, s := &base{}, &scope{held: true}
	var err error
	b.reads, err = l.view.Apart(func(v *tree.View) (err error) {
		s.view = v
		b.resources, err = accumulateBase(l, s, name, dir)
		return err
	})
	b.notes = s.notes
	return b, err
}

func accumulateBase(l *layer, s *scope, name, dir string) (*resources, error) {
	sub, err := l.under(s, name, dir)
	if err != nil {
		return nil, err
	}
	if sub.Kind == types.ComponentKind {
		return nil, fmt.Errorf("%s is a component: name it under components", name)
	}
	m := newResources()
	m.isWanted = l.build.isWanted
	return m, accumulate(sub, m)
}

// copy makes a build's own copy of a base.
func (b *build) copy(known *base, repeated bool) (*resources, error) {
	from, m := known.resources, newResources()
	m.specs, m.vars, m.isWanted = from.specs, from.vars.Copy(), from.isWanted
	m.list = make([]*resource.Resource, 0, len(from.list))
	for _, r := range from.list {
		n, size := copyNode(r.YNode())
		if repeated {
			if err := b.spend(size + perObject); err != nil {
				return nil, err
			}
		}
		c := &resource.Resource{RNode: *kyaml.NewRNode(n)}
		for _, v := range r.GetRefVarNames() {
			c.AppendRefVarName(types.Var{Name: v})
		}
		m.list = append(m.list, c)
		m.origins[c] = from.origins[r]
	}
	return m, nil
}

// copyNode copies a node with all nodes below it, in one piece of memory, and counts them.
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
