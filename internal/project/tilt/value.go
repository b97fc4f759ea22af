package tilt

import (
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"

	"go.starlark.net/syntax"
)

// Values are nil for None, bool, int64, string, and the types below.
type (
	// unknown is a value that the repository does not determine.
	unknown struct{}

	// list is a list or a tuple. An open one may have other elements than these.
	list struct {
		items []any
		open  bool
	}

	// dict has its keys in order. An open one may have other entries than these.
	dict struct {
		keys    []any
		entries map[any]any
		open    bool
	}

	// record is a struct, or the variables of a loaded file.
	record map[string]any

	// fileText is the text of a file of the project.
	fileText struct{ file, text string }

	// blob is what k8s_yaml takes. A partial one lacks something that is not decided.
	blob struct {
		manifests []Manifest
		partial   bool
	}

	made struct{} // manifests that the Tiltfile itself writes

	builtin string
	module  string // os, os.path, config
	options struct{}
	step    struct{} // of live_update
	forward struct {
		port int
		name string
	}

	method struct {
		of   any
		name string
	}

	function struct {
		params   []syntax.Expr
		defaults map[string]any
		body     []syntax.Stmt
		value    syntax.Expr // of a lambda
		scope    *scope
	}
)

func newDict() *dict { return &dict{entries: map[any]any{}} }

// set adds an entry. With a key that is not known, any key may have the value.
func (d *dict) set(key, value any) {
	switch key.(type) {
	case nil, bool, int64, string:
	default:
		d.open = true
		return
	}
	if _, ok := d.entries[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.entries[key] = value
}

func (d *dict) get(key, missing any) any {
	if _, not := key.(unknown); not {
		return unknown{}
	}
	switch key.(type) {
	case nil, bool, int64, string:
	default:
		return missing
	}
	if v, ok := d.entries[key]; ok {
		return v
	}
	if d.open {
		return unknown{}
	}
	return missing
}

func isUnknown(v any) bool { _, is := v.(unknown); return is }

// truth is whether a value counts as true; false where that is not known.
func truth(v any) (is, known bool) {
	switch v := v.(type) {
	case nil:
		return false, true
	case bool:
		return v, true
	case int64:
		return v != 0, true
	case string:
		return v != "", true
	case fileText:
		return v.text != "", true
	case *list:
		return len(v.items) > 0, !v.open || len(v.items) > 0
	case *dict:
		return len(v.keys) > 0, !v.open || len(v.keys) > 0
	case unknown:
		return false, false
	}
	return true, true
}

// same says whether two values are equal; false where that is not known.
func same(a, b any) (is, known bool) {
	if !certain(a) || !certain(b) {
		return false, false
	}
	if f, ok := a.(fileText); ok {
		a = f.text
	}
	if f, ok := b.(fileText); ok {
		b = f.text
	}
	return reflect.DeepEqual(a, b), true
}

// certain says whether all of a value is known.
func certain(v any) bool {
	left := maxList
	return certainWithin(v, &left)
}

// certainWithin looks at so many values: a list may contain itself.
func certainWithin(v any, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	switch v := v.(type) {
	case nil, bool, int64, string, fileText:
		return true
	case *list:
		return !v.open && !slices.ContainsFunc(v.items, func(e any) bool { return !certainWithin(e, left) })
	case *dict:
		for _, e := range v.entries {
			if !certainWithin(e, left) {
				return false
			}
		}
		return !v.open
	}
	return false
}

// either is the value of a variable after one of two branches.
func either(a, b any) any {
	if is, known := same(a, b); known && is {
		return a
	}
	if reflect.TypeOf(a) == reflect.TypeOf(b) && a != nil && reflect.TypeOf(a).Comparable() && a == b {
		return a // the same list, the same function
	}
	return unknown{}
}

// elements are those of what a loop runs over; false where they are not known.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case *list:
		return slices.Clone(v.items), !v.open
	case *dict:
		return slices.Clone(v.keys), !v.open
	}
	return nil, false
}

// toText is what str makes of a value.
func toText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "None", true
	case bool:
		return map[bool]string{true: "True", false: "False"}[v], true
	case int64:
		return strconv.FormatInt(v, 10), true
	case string:
		return v, true
	case fileText:
		return v.text, true
	}
	return "", false
}

// texts are strings: one, or those of a list. False where some are not known.
func texts(v any) (all []string, complete bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case *list:
		complete = !v.open
		for _, e := range v.items {
			s, ok := e.(string)
			if complete = complete && ok; ok {
				all = append(all, s)
			}
		}
		return all, complete
	}
	return nil, false
}

// fromData makes a value of decoded YAML or JSON.
func fromData(v any) any {
	switch v := v.(type) {
	case map[string]any:
		d := newDict()
		for _, k := range slices.Sorted(maps.Keys(v)) {
			d.set(k, fromData(v[k]))
		}
		return d
	case []any:
		l := &list{}
		for _, e := range v {
			l.items = append(l.items, fromData(e))
		}
		return l
	case int:
		return int64(v)
	case nil, bool, int64, string:
		return v
	}
	return unknown{}
}

func fromLiteral(l *syntax.Literal) any {
	switch v := l.Value.(type) {
	case string, int64:
		return v
	case *big.Int, float64:
		return unknown{}
	}
	return fmt.Sprint(l.Value)
}
