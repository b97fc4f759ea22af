package skaffold

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch applies a profile's patches one by one, then reads the outcome as leniently as Skaffold does.
func (r *Resolved) patch(profile string, patches []any, from string) error {
	if len(patches) == 0 {
		return nil
	}
	var doc any = r.Config
	for i, p := range patches {
		at := from + "/" + strconv.Itoa(i)
		line := r.source.lines[at+"/path"]
		touched, err := change(&doc, p.(map[string]any))
		if err != nil {
			return &FileError{r.File, line, fmt.Errorf("applying profile %q: invalid path: %s: %w", profile,
				text(p, "path"), err)}
		}
		for _, path := range touched {
			r.Changes = append(r.Changes, Change{Path: path, Profile: profile, Line: line})
		}
	}
	line := r.source.lines[from]
	var n yaml.Node
	if err := n.Encode(doc); err != nil {
		return &FileError{r.File, line, err}
	}
	lenient := reader{file: r.File, lenient: true, left: maxValues}
	config, err := lenient.structure(&n, "Config", "")
	if err != nil {
		return &FileError{r.File, line, fmt.Errorf("patches of profile %q: %w", profile, errors.Unwrap(err))}
	}
	for _, path := range lenient.dropped {
		r.warn(line, "a patch of profile %q sets %s, which is not a field: it changes nothing", profile, path)
	}
	r.Config = config
	return nil
}

// change applies one patch and says which paths it touched.
func change(doc *any, patch map[string]any) ([]string, error) {
	paths, err := expand(*doc, text(patch, "path"))
	if err != nil {
		return nil, err
	}
	var touched []string
	for _, keys := range paths {
		if *doc, err = perform(*doc, patch, keys); err != nil {
			return nil, err
		}
		switch text(patch, "op") {
		case "test":
			continue
		case "", "replace":
		default:
			if _, err := get(*doc, keys); err != nil || index(keys[len(keys)-1]) {
				keys = keys[:len(keys)-1] // what follows in a list has moved
			}
		}
		touched = append(touched, pointer(keys))
	}
	return touched, nil
}

func index(key string) bool {
	_, err := strconv.Atoi(key)
	return err == nil
}

func perform(doc any, patch map[string]any, keys []string) (any, error) {
	value, given := patch["value"]
	switch op := text(patch, "op"); op {
	case "", "replace":
		return edit(doc, keys, func(in any, key string) (any, error) { return replace(in, key, value) })
	case "add":
		return edit(doc, keys, func(in any, key string) (any, error) { return add(in, key, value) })
	case "remove":
		return edit(doc, keys, remove)
	case "test":
		found, err := get(doc, keys)
		if err == nil && (!given || !reflect.DeepEqual(found, value)) {
			err = errors.New("test failed")
		}
		return doc, err
	case "move", "copy":
		from, err := split(text(patch, "from"))
		if err == nil {
			value, err = get(doc, from)
		}
		if err == nil && op == "move" {
			doc, err = edit(doc, from, remove)
		}
		if err != nil {
			return nil, fmt.Errorf("from: %w", err)
		}
		return edit(doc, keys, func(in any, key string) (any, error) { return put(in, key, value) })
	default:
		return nil, fmt.Errorf("unknown op %q", op)
	}
}

// edit is doc with the container that holds the last key replaced; nothing of doc is written to.
func edit(doc any, keys []string, do func(in any, key string) (any, error)) (any, error) {
	if len(keys) == 1 {
		return do(doc, keys[0])
	}
	sub, err := child(doc, keys[0])
	if err != nil {
		return nil, err
	}
	if sub, err = edit(sub, keys[1:], do); err != nil {
		return nil, err
	}
	return replace(doc, keys[0], sub)
}

func get(doc any, keys []string) (any, error) {
	for _, k := range keys {
		var err error
		if doc, err = child(doc, k); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

func child(in any, key string) (any, error) {
	switch in := in.(type) {
	case map[string]any:
		if v, ok := in[key]; ok {
			return v, nil
		}
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(in) {
			return in[i], nil
		}
	}
	return nil, fmt.Errorf("%s does not exist (empty fields are dropped: add it as a whole first)", key)
}

func replace(in any, key string, value any) (any, error) {
	if _, err := child(in, key); err != nil {
		return nil, err
	}
	return put(in, key, value)
}

// put sets a key or an element; the element after the last one is new.
func put(in any, key string, value any) (any, error) {
	if l, ok := in.([]any); ok {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i > len(l) {
			return nil, fmt.Errorf("index %s is out of range in a list of %d", key, len(l))
		}
		l = slices.Clone(l[:max(i, len(l))])
		return append(append(l[:i:i], value), l[min(i+1, len(l)):]...), nil
	}
	return add(in, key, value)
}

func add(in any, key string, value any) (any, error) {
	switch in := in.(type) {
	case map[string]any:
		out := maps.Clone(in)
		out[key] = value
		return out, nil
	case []any:
		i, err := strconv.Atoi(key)
		if key == "-" {
			i, err = len(in), nil
		}
		if err != nil || i < 0 || i > len(in) {
			return nil, fmt.Errorf("index %s is out of range in a list of %d", key, len(in))
		}
		return slices.Insert(slices.Clone(in), i, value), nil
	}
	return nil, fmt.Errorf("cannot add to %v", in)
}

func remove(in any, key string) (any, error) {
	if _, err := child(in, key); err != nil {
		return nil, err
	}
	if l, ok := in.([]any); ok {
		i, _ := strconv.Atoi(key)
		return slices.Delete(slices.Clone(l), i, i+1), nil
	}
	out := maps.Clone(in.(map[string]any))
	delete(out, key)
	return out, nil
}

type route struct {
	keys []string
	node any
}

// expand turns a JSON pointer into paths: "key=value" matches every mapping, at any depth, in which the key
// has the value.
func expand(doc any, path string) ([][]string, error) {
	parts, err := split(path)
	if err != nil || !strings.Contains(path, "=") {
		return [][]string{parts}, err
	}
	routes := []route{{nil, doc}}
	for _, part := range parts {
		var next []route
		for _, at := range routes {
			key, value, search := strings.Cut(part, "=")
			if search && !strings.Contains(value, "=") {
				next = append(next, find(at, key, value)...)
				continue
			}
			node, err := child(at.node, part)
			if _, isList := at.node.([]any); err == nil || !isList || part == "-" {
				next = append(next, route{append(slices.Clip(at.keys), part), node})
			}
		}
		routes = next
	}
	var out [][]string
	for _, at := range routes {
		out = append(out, at.keys)
	}
	if out == nil {
		return nil, errors.New("no match")
	}
	return out, nil
}

// split is a JSON pointer's parts.
func split(path string) ([]string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("must begin with /")
	}
	parts := strings.Split(path[1:], "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, nil
}

// find searches below a node, and not below what it finds.
func find(at route, key, value string) []route {
	if v, err := child(at.node, key); err == nil && v == any(value) {
		return []route{at}
	}
	var out []route
	switch node := at.node.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(node)) {
			out = append(out, find(route{append(slices.Clip(at.keys), k), node[k]}, key, value)...)
		}
	case []any:
		for i, e := range node {
			out = append(out, find(route{append(slices.Clip(at.keys), strconv.Itoa(i)), e}, key, value)...)
		}
	}
	return out
}

func pointer(keys []string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("/" + escape(k))
	}
	return b.String()
}
