package skaffold

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader turns YAML into what Skaffold would write of it: typed, and without what is empty.
type reader struct {
	file  string
	lines map[string]int // by JSON pointer; nil: not wanted
	zeros map[int][]string
	left  int
	// After patches Skaffold reads leniently: keys that it does not know are dropped, and noted here.
	lenient bool
	dropped []string
}

type pair struct{ key, value *yaml.Node }

func (r *reader) fail(n *yaml.Node, format string, args ...any) error {
	return &FileError{r.file, n.Line, fmt.Errorf(format, args...)}
}

func (r *reader) follow(n *yaml.Node) (*yaml.Node, error) {
	if r.left--; r.left < 0 {
		return nil, r.fail(n, "more than %d values, aliases followed", maxValues)
	}
	if n.Kind == yaml.AliasNode {
		return r.follow(n.Alias)
	}
	return n, nil
}

// pairs are the entries of a mapping, with merge keys followed.
func (r *reader) pairs(n *yaml.Node) ([]pair, error) {
	n, err := r.follow(n)
	if err != nil {
		return nil, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, r.fail(n, "must be a mapping")
	}
	var out, merged []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := pair{n.Content[i], n.Content[i+1]}
		if p.key.ShortTag() == "!!merge" {
			sources := []*yaml.Node{p.value}
			if p.value.Kind == yaml.SequenceNode {
				sources = p.value.Content
			}
			for _, s := range sources {
				more, err := r.pairs(s)
				if err != nil {
					return nil, err
				}
				merged = append(merged, more...)
			}
			continue
		}
		if p.key.Kind != yaml.ScalarNode {
			return nil, r.fail(p.key, "a key must be a string")
		}
		if first, twice := seen[p.key.Value]; twice {
			return nil, r.fail(p.key, "duplicate key %q (first in line %d)", p.key.Value, first)
		}
		seen[p.key.Value] = p.key.Line
		out = append(out, p)
	}
	for _, p := range merged {
		if _, ok := seen[p.key.Value]; !ok {
			seen[p.key.Value] = p.key.Line
			out = append(out, p)
		}
	}
	return out, nil
}

func (r *reader) structure(n *yaml.Node, of, path string) (map[string]any, error) {
	if null(n) {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line}
	}
	pairs, err := r.pairs(n)
	if err != nil {
		return nil, err
	}
	return r.fields(n, pairs, of, path)
}

// fields reads the entries of a structure; one without a key is left out.
func (r *reader) fields(n *yaml.Node, pairs []pair, of, path string) (map[string]any, error) {
	fields, out, only := schema()[of], map[string]any{}, map[string]string{}
	for _, p := range pairs {
		if p.key == nil {
			continue
		}
		k, ok := fields[p.key.Value]
		at := path + "/" + escape(p.key.Value)
		if !ok {
			if r.lenient {
				r.dropped = append(r.dropped, at)
				continue
			}
			return nil, r.fail(p.key, "%w", unknown(p.key.Value, fields))
		}
		v, err := r.value(p.value, k, at)
		if err != nil {
			return nil, err
		}
		if r.lines != nil {
			r.lines[at] = p.key.Line
		}
		if v == nil {
			r.zero(at)
			continue
		}
		out[p.key.Value] = v
		if other := only[k.group]; k.group != "" && other != "" && !r.lenient {
			return nil, r.fail(p.key, "%s and %s are mutually exclusive", other, p.key.Value)
		}
		only[k.group] = p.key.Value
	}
	for name, k := range fields {
		if out[name] != nil || !k.required && !k.always {
			continue
		}
		if k.required && !r.lenient {
			return nil, r.fail(n, "%s is missing", strings.TrimPrefix(path+"/"+name, "/"))
		}
		out[name] = k.empty()
	}
	return out, nil
}

// zero notes a field that a profile gives but leaves empty.
func (r *reader) zero(path string) {
	parts := strings.SplitN(path, "/", 4)
	if len(parts) < 4 || parts[1] != "profiles" || r.zeros == nil {
		return
	}
	if k, ok := laid("/" + parts[3]); ok && !k.nested() {
		i, _ := strconv.Atoi(parts[2])
		r.zeros[i] = append(r.zeros[i], "/"+parts[3])
	}
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// value reads a field; nil: it is empty and would not be written.
func (r *reader) value(n *yaml.Node, k kind, path string) (any, error) {
	n, err := r.follow(n)
	if err != nil || null(n) {
		return nil, err
	}
	var v any
	if k.list {
		v, err = r.items(n, k, path)
	} else {
		v, err = r.one(n, k, path)
	}
	if err != nil || k.pointer || !blank(v) {
		return v, err
	}
	return nil, nil
}

func blank(v any) bool {
	switch e := v.(type) {
	case []any:
		return len(e) == 0
	case map[string]any:
		return len(e) == 0
	}
	return v == nil || reflect.ValueOf(v).IsZero()
}

func (r *reader) items(n *yaml.Node, k kind, path string) (any, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, r.fail(n, "%s must be a list", path[1:])
	}
	out := []any{}
	for i, e := range n.Content {
		at := path + "/" + strconv.Itoa(i)
		e, err := r.follow(e)
		if err != nil {
			return nil, err
		}
		v, err := r.one(e, kind{of: k.of}, at)
		if err != nil {
			return nil, err
		}
		if r.lines != nil {
			r.lines[at] = e.Line
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *reader) one(n *yaml.Node, k kind, path string) (any, error) {
	switch k.of {
	case "string":
		if n.Kind != yaml.ScalarNode {
			return nil, r.fail(n, "%s must be a string", path[1:])
		}
		if null(n) {
			return "", nil
		}
		return n.Value, nil
	case "int":
		var i int64
		if err := n.Decode(&i); err != nil {
			return nil, r.fail(n, "%s must be an integer", path[1:])
		}
		return i, nil
	case "bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, r.fail(n, "%s must be true or false", path[1:])
		}
		return b, nil
	case "port":
		var i int64
		if err := n.Decode(&i); err == nil {
			return i, nil
		}
		return r.one(n, kind{of: "string"}, path)
	case "any":
		return r.plain(n)
	case "flat":
		return r.flat(n)
	case "map":
		return r.strings(n, path)
	}
	return r.structure(n, k.of, path)
}

func (r *reader) strings(n *yaml.Node, path string) (any, error) {
	pairs, err := r.pairs(n)
	out := map[string]any{}
	for _, p := range pairs {
		v, err := r.value(p.value, kind{of: "string", pointer: true}, path+"/"+escape(p.key.Value))
		if err != nil {
			return nil, err
		}
		out[p.key.Value] = v
	}
	return out, err
}

// flat joins the keys of nested mappings with dots.
func (r *reader) flat(n *yaml.Node) (any, error) {
	if n.Kind != yaml.MappingNode {
		return nil, r.fail(n, "must be a mapping")
	}
	v, err := r.plain(n)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	flatten(out, "", v.(map[string]any))
	return out, nil
}

func flatten(out map[string]any, prefix string, m map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if sub, ok := m[k].(map[string]any); ok {
			flatten(out, prefix+k+".", sub)
		} else {
			out[prefix+k] = fmt.Sprint(m[k])
		}
	}
}

// plain reads what has no schema.
func (r *reader) plain(n *yaml.Node) (any, error) {
	n, err := r.follow(n)
	if err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.SequenceNode:
		out := []any{}
		for _, e := range n.Content {
			v, err := r.plain(e)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		pairs, err := r.pairs(n)
		if err != nil {
			return nil, err
		}
		out := map[string]any{}
		for _, p := range pairs {
			if out[p.key.Value], err = r.plain(p.value); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return r.scalar(n)
}

func (r *reader) scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		err := n.Decode(&b)
		return b, err
	case "!!int":
		var i int64
		if err := n.Decode(&i); err == nil {
			return i, nil
		}
		fallthrough
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, r.fail(n, "%s is not a JSON number", n.Value)
		}
		return f, nil
	}
	return n.Value, nil
}

// escape writes a key as a part of a JSON pointer.
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
