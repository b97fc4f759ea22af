//lint:file-ignore SA1019 what Kustomize deprecates is built as long as Kustomize builds it

package kustomize

import (
	"errors"
	"fmt"
	"path"

	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/render/tree"
)

const managedBy = "kustomize-v5.8.2"

// accumulate does what one kustomization says to resources: none so far, or for a component those of its
// parent.
func accumulate(l *layer, m *resources) error {
	if err := include(l, m, l.Resources, l.entries(len(l.Resources), "resources", "bases")); err != nil {
		return err
	}
	for _, step := range []func(*layer, *resources) error{
		configure, generate, addComponents, transform, validate,
	} {
		if err := step(l, m); err != nil {
			return err
		}
	}
	at := l.entries(len(l.Vars), "vars")
	for i, v := range l.Vars {
		if err := markVarSource(m, v); err != nil {
			return at[i].fail(err)
		}
	}
	return l.fieldEntry("vars").fail(m.vars.MergeSlice(l.Vars))
}

// include adds files of resources, and directories that hold a kustomization.
func include(l *layer, m *resources, paths []string, at []entry) error {
	for i, name := range paths {
		rel, err := realPath(l.view, l.dir, name)
		switch {
		case err == nil && l.view.IsEmptied(rel):
			_, err = l.view.File(rel)
		case err == nil:
			var kind tree.Kind
			if kind, err = l.view.Kind(rel); err == nil && kind == tree.Directory {
				err = includeBase(l, m, name, rel)
			} else if err == nil {
				err = includeFile(l, m, at[i], name)
			}
		}
		if err != nil {
			return at[i].failPath(name, err)
		}
	}
	return nil
}

func includeFile(l *layer, m *resources, at entry, name string) error {
	text, rel, err := l.readFile(at, name)
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
		if err := m.append(r, origins[i]); err != nil {
			return err
		}
		if m.isBystander(r) {
			r.SetYNode(nameAndLabels(r.YNode()))
		}
	}
	return nil
}

func includeBase(l *layer, m *resources, name, dir string) error {
	if err := checkCircle(l, dir); err != nil {
		return err
	}
	base, err := resourcesOfBase(l, name, dir)
	if errors.Is(err, errNone) {
		return fmt.Errorf("%s has no kustomization.yaml: list its files one by one", name)
	}
	if err != nil {
		return err
	}
	return m.merge(base)
}

// checkCircle refuses a directory that includes the layer. One above it counts as the same, as for the
// command.
func checkCircle(l *layer, dir string) error {
	for a := l; a != nil; a = a.above {
		if isBelow(a.dir, dir) {
			return fmt.Errorf("%s closes a cycle: it is or contains the directory of %s, which leads here",
				dir, a.file)
		}
	}
	return nil
}

// addComponents does to the resources what components say.
func addComponents(l *layer, m *resources) error {
	at := l.entries(len(l.Components), "components")
	for i, name := range l.Components {
		if err := addComponent(l, m, name); err != nil {
			return at[i].failPath(name, err)
		}
	}
	return nil
}

func addComponent(l *layer, m *resources, name string) error {
	dir, err := realPath(l.view, l.dir, name)
	if err != nil {
		return err
	}
	if l.view.IsEmptied(dir) {
		_, err := l.view.File(dir)
		return err
	}
	kind, err := l.view.Kind(dir)
	if err != nil {
		return err
	}
	if kind != tree.Directory {
		return fmt.Errorf("%s is not a directory", name)
	}
	if err := checkCircle(l, dir); err != nil {
		return err
	}
	sub, err := l.under(l.scope, name, dir)
	if errors.Is(err, errNone) {
		return fmt.Errorf("%s has no kustomization.yaml", name)
	}
	if err != nil {
		return err
	}
	if sub.Kind != types.ComponentKind {
		return fmt.Errorf("%s is not a component: %s has kind %s", name, sub.file, sub.Kind)
	}
	if err := accumulate(sub, m); err != nil {
		return err
	}
	return m.checkUnique()
}

// pluginConfigs accumulates what generators, transformers and validators hold, or name by its path.
func pluginConfigs(l *layer, texts []string, field string) (*resources, error) {
	m, at := newResources(), l.entries(len(texts), field)
	var paths []string
	var where []entry
	for i, text := range texts {
		list, _, err := parse([]byte(text), l.file)
		if err != nil {
			paths, where = append(paths, text), append(where, at[i])
			continue
		}
		for _, r := range list {
			if l.origin != nil {
				if err := r.SetOrigin(l.origin.Append(path.Base(l.file))); err != nil {
					return nil, err
				}
			}
			if err := m.append(r, at[i].at); err != nil {
				return nil, err
			}
		}
	}
	return m, include(l, m, paths, where)
}
