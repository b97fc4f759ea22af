package cluster

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// layout is how an object's lists and maps are merged, as its managed fields show it. It needs no schema.
type layout struct {
	// all are the managed fields, parents the paths above them.
	all     *fieldpath.Set
	parents map[string]bool
	// items are the managed items of each list that is merged item by item. Other lists are one value.
	items map[string][]fieldpath.PathElement
}

func newLayout() layout {
	return layout{all: &fieldpath.Set{}, parents: map[string]bool{}, items: map[string][]fieldpath.PathElement{}}
}

func (l *layout) add(set *fieldpath.Set) {
	l.all = l.all.Union(set)
	set.Iterate(func(p fieldpath.Path) {
		for i, e := range p {
			above := p[:i].String()
			l.parents[above] = i > 0
			if (e.Key != nil || e.Value != nil) && !slices.ContainsFunc(l.items[above], e.Equals) {
				l.items[above] = append(l.items[above], e)
			}
		}
	})
}

// merge is base with what want sets. A list that is merged has the items of want first, in their order.
func (l layout) merge(base, want any, path fieldpath.Path) any {
	switch w := want.(type) {
	case map[string]any:
		b, ok := base.(map[string]any)
		if name := path.String(); !ok || l.all.Has(path) && !l.parents[name] {
			return w
		}
		merged := maps.Clone(b)
		for k, v := range w {
			if v != nil {
				merged[k] = l.merge(b[k], v, below(path, fieldpath.PathElement{FieldName: &k}))
			}
		}
		return merged
	case []any:
		b, ok := base.([]any)
		if items := l.items[path.String()]; ok && len(items) > 0 {
			return l.mergeList(b, w, path, items)
		}
	}
	return want
}

func (l layout) mergeList(base, want []any, path fieldpath.Path, items []fieldpath.PathElement) []any {
	var merged []any
	rest := slices.Clone(base)
	for _, w := range want {
		i := slices.IndexFunc(rest, func(b any) bool { return haveSameKeys(items[0], b, w) })
		if i < 0 {
			merged = append(merged, w)
			continue
		}
		b := rest[i]
		rest = slices.Delete(rest, i, i+1)
		isItem := func(e fieldpath.PathElement) bool { return isElement(b, e) }
		if j := slices.IndexFunc(items, isItem); j >= 0 {
			w = l.merge(b, w, below(path, items[j]))
		}
		merged = append(merged, w)
	}
	return append(merged, rest...)
}

func below(path fieldpath.Path, e fieldpath.PathElement) fieldpath.Path {
	return append(path[:len(path):len(path)], e)
}

// haveSameKeys says that two items of a list are the same one, where e is any item of the list. A protocol
// that is left out is TCP, wherever it is a key.
func haveSameKeys(e fieldpath.PathElement, a, b any) bool {
	if e.Key == nil {
		return reflect.DeepEqual(a, b)
	}
	ma, okA := a.(map[string]any)
	mb, okB := b.(map[string]any)
	if !okA || !okB {
		return false
	}
	value := func(m map[string]any, key string) string {
		if v := m[key]; v != nil || key != "protocol" {
			return fmt.Sprint(v)
		}
		return "TCP"
	}
	for _, k := range *e.Key {
		if value(ma, k.Name) != value(mb, k.Name) {
			return false
		}
	}
	return true
}
