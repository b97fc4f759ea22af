package object

import (
	"hash/maphash"
	"io"
	"maps"
	"reflect"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Pool holds equal parts of objects once: thousands of objects have the same labels, probes and defaults, and
// each object is held in several states. The zero value is empty and ready. A Pool may be used from several
// goroutines.
type Pool struct {
	mu    sync.Mutex
	seed  maphash.Seed
	parts map[uint64]any // by their hash; another part with the same hash is not shared
	keys  map[string]string
	below []entry // of the parts that are being folded
}

// entry is what a part has: an element of a list has no key.
type entry struct {
	key   string
	value any
}

// Add lets later objects share the parts of o, which must not be changed after it.
func (p *Pool) Add(o Object) { p.fold(o, nil) }

// Fold returns o with equal parts of the pool in place of its own. It writes into the body, which no
// other code may have; the result must not be changed.
func (p *Pool) Fold(o Object) Object { return p.fold(o, replace) }

// Share is Fold for an object that other code reads: it copies what it would write into.
func (p *Pool) Share(o Object) Object { return p.fold(o, replaced) }

// Read is like the function. Files that are read by one pool share their equal parts.
func (p *Pool) Read(r io.Reader, file string) ([]Object, error) {
	var objects []Object
	err := eachDocument(r, file, func(d *decoder, root *yaml.Node) error {
		v, err := d.value(root, 0)
		if err != nil || v == nil {
			return err
		}
		before := len(objects)
		objects, err = d.collect(objects, root, v)
		for i := before; i < len(objects); i++ {
			objects[i] = p.Fold(objects[i])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return objects, nil
}

// put returns a map or list with other entries in place of its own.
type put func(v any, entries []entry) any

func (p *Pool) fold(o Object, write put) Object {
	if o.Body == nil {
		return o
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parts == nil {
		p.seed, p.parts, p.keys = maphash.MakeSeed(), map[uint64]any{}, map[string]string{}
	}
	v, _ := p.part(o.Body, write)
	if body, ok := v.(map[string]any); ok {
		o.Body = body
	}
	return o
}

// part returns the equal part of the pool, and the hash of both. A part that the pool does not have gets the
// parts below it by write; nil: it stays as it is. A part of the pool is never written into: other objects
// have it.
func (p *Pool) part(v any, write put) (any, uint64) {
	const prime = 0x9e3779b97f4a7c15
	var h uint64
	begin := len(p.below)
	switch x := v.(type) {
	case map[string]any:
		h = 1
		for k, e := range x {
			key, with, he := p.key(k), e, uint64(0)
			if text, ok := e.(string); ok && (k == uidKey || k == "resourceVersion") {
				he = maphash.String(p.seed, text) // no other object has it
			} else {
				with, he = p.part(e, write)
			}
			p.below = append(p.below, entry{key, with})
			h += (maphash.String(p.seed, k) ^ he*prime) * prime // the order of keys does not matter
		}
	case []any:
		h = 2
		for _, e := range x {
			with, he := p.part(e, write)
			p.below = append(p.below, entry{"", with})
			h = (h ^ he) * prime
		}
	case string:
		h = maphash.String(p.seed, x)
	default:
		return v, maphash.Comparable(p.seed, v)
	}
	known, ok := p.parts[h]
	if write != nil && !(ok && identical(known, v)) {
		v = write(v, p.below[begin:])
	}
	p.below = p.below[:begin]
	switch {
	case !ok && isUnique(v):
	case !ok:
		p.parts[h] = v
	case equal(known, v):
		return known, h
	}
	return v, h
}

// replace sets the entries of a map or list. An equal key replaces the one that the map has.
func replace(v any, entries []entry) any {
	switch x := v.(type) {
	case map[string]any:
		for _, e := range entries {
			x[e.key] = e.value
		}
	case []any:
		for i, e := range entries {
			x[i] = e.value
		}
	}
	return v
}

// replaced is replace in a copy of v, or v where it has the entries already.
func replaced(v any, entries []entry) any {
	switch x := v.(type) {
	case map[string]any:
		if slices.ContainsFunc(entries, func(e entry) bool { return !identical(x[e.key], e.value) }) {
			return replace(maps.Clone(x), entries)
		}
	case []any:
		for i, e := range entries {
			if !identical(x[i], e.value) {
				return replace(slices.Clone(x), entries)
			}
		}
	}
	return v
}

// key returns the equal key of the pool.
func (p *Pool) key(k string) string {
	known, ok := p.keys[k]
	if !ok {
		p.keys[k], known = k, k
	}
	return known
}

const uidKey = "uid"

// isUnique says that a part is a live object, or the metadata of one: no other object has it.
func isUnique(v any) bool {
	m, _ := v.(map[string]any)
	metadata, ok := m["metadata"].(map[string]any)
	if !ok {
		metadata = m
	}
	return metadata[uidKey] != nil
}

// equal compares two parts. Most of what is in them is identical.
func equal(a, b any) bool {
	if identical(a, b) {
		return true
	}
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, e := range x {
			if other, ok := y[k]; !ok || !equal(e, other) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	}
	return false
}

// identical says that both are the same map, list or scalar.
func identical(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && reflect.ValueOf(x).Pointer() == reflect.ValueOf(y).Pointer()
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}
