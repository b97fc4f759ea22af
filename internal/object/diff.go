package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Field is one difference within an object.
type Field struct {
	// Path is dotted, with keys for list elements: spec.template.spec.containers[name=api].image
	Path   string `json:"path"`
	Before any    `json:"before,omitempty"` // nil: not set before
	After  any    `json:"after,omitempty"`  // nil: not set after
}

// listKeys identify the elements of a list, the best first. A key is used only where each element has it and
// its values are unique.
var listKeys = [][]string{
	{"name"}, {"containerPort", "protocol"}, {"containerPort"}, {"port", "protocol"}, {"port"}, {"mountPath"},
	{"devicePath"}, {"path"}, {"type"}, {"key"}, {"ip"}, {"host"}, {"topologyKey", "whenUnsatisfiable"},
	{"kind", "name"},
}

// Shown are the two values with secrets masked, of the same shape. The zero value: there are no secrets.
type Shown struct{ Before, After any }

// Differences returns the fields in which after differs from before. It matches list elements by key where
// they have one ("[name=api]"), else by position. With asked it ignores fields that after does not set: the
// API server has not defaulted them yet.
func Differences(before, after any, shown Shown, asked bool) []Field {
	if shown.Before == nil && shown.After == nil {
		shown = Shown{before, after}
	}
	d := differ{asked: asked}
	d.value("", before, after, shown.Before, shown.After)
	return d.fields
}

// differ walks two values together with their masked copies.
type differ struct {
	asked  bool
	fields []Field
}

func (d *differ) value(path string, a, b, maskedA, maskedB any) {
	if b == nil && d.asked || same(a, b) {
		return
	}
	if ma, ok := a.(map[string]any); ok {
		if mb, ok := b.(map[string]any); ok {
			d.mapping(path, ma, mb, maskedA, maskedB)
			return
		}
	}
	la, okA := a.([]any)
	lb, okB := b.([]any)
	if okA && okB && len(la) > 0 && len(lb) > 0 && mappings(la) && mappings(lb) {
		d.list(path, la, lb, maskedA, maskedB)
		return
	}
	d.fields = append(d.fields, Field{Path: path, Before: maskedA, After: maskedB})
}

func (d *differ) mapping(path string, a, b map[string]any, maskedA, maskedB any) {
	ma, _ := maskedA.(map[string]any)
	mb, _ := maskedB.(map[string]any)
	keys := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		d.value(Join(path, k), a[k], b[k], ma[k], mb[k])
	}
}

// Join returns the path of a key below a path.
func Join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// list compares elements by key where they have one, else by position.
func (d *differ) list(path string, a, b []any, maskedA, maskedB any) {
	ma, _ := maskedA.([]any)
	mb, _ := maskedB.([]any)
	namesA, namesB := elementNames(a, b)
	position := make(map[string]int, len(b))
	for i, n := range namesB {
		position[n] = i
	}
	var common []string // in the order of a
	for i, n := range namesA {
		j, ok := position[n]
		if !ok {
			d.value(path+n, a[i], nil, at(ma, i), nil)
			continue
		}
		common = append(common, n)
		d.value(path+n, a[i], b[j], at(ma, i), at(mb, j))
	}
	for j, n := range namesB {
		if !slices.Contains(namesA, n) {
			d.value(path+n, nil, b[j], nil, at(mb, j))
		}
	}
	order := slices.DeleteFunc(slices.Clone(namesB), func(n string) bool { return !slices.Contains(common, n) })
	if !slices.Equal(order, common) {
		d.fields = append(d.fields, Field{Path: path, Before: "order " + strings.Join(common, ""),
			After: "order " + strings.Join(order, "")})
	}
}

// elementNames names the elements of both lists in the same way: "[name=api]" or "[0]".
func elementNames(a, b []any) (namesA, namesB []string) {
	for _, keys := range listKeys {
		na, okA := keyed(a, keys)
		nb, okB := keyed(b, keys)
		if okA && okB {
			return na, nb
		}
	}
	return positions(len(a)), positions(len(b))
}

// Elements returns the steps to the elements of a list: by key where they have one ("[name=api]"), else by
// position.
func Elements(list []any) []string {
	if !mappings(list) {
		return positions(len(list))
	}
	names, _ := elementNames(list, nil)
	return names
}

func keyed(list []any, keys []string) ([]string, bool) {
	names := make([]string, len(list))
	seen := make(map[string]bool, len(list))
	for i, e := range list {
		m := e.(map[string]any)
		parts := make([]string, len(keys))
		for k, key := range keys {
			switch v := m[key].(type) {
			case string, int64, float64, json.Number:
				parts[k] = key + "=" + quoteElement(elementValue(v))
			default:
				return nil, false
			}
		}
		names[i] = "[" + strings.Join(parts, ",") + "]"
		if seen[names[i]] {
			return nil, false
		}
		seen[names[i]] = true
	}
	return names, true
}

// elementValue is a value of an element as a path writes it, without quotes.
func elementValue(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// quoteElement quotes a value that cannot be in brackets as it is.
func quoteElement(value string) string {
	if value == "" || strings.ContainsAny(value, "[],=\"'\\ \t\r\n") {
		return strconv.Quote(value)
	}
	return value
}

func positions(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "[" + strconv.Itoa(i) + "]"
	}
	return names
}

func mappings(list []any) bool {
	return !slices.ContainsFunc(list, func(e any) bool { _, ok := e.(map[string]any); return !ok })
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// same is equality that ignores the Go type of whole numbers.
func same(a, b any) bool {
	if fa, ok := asFloat(a); ok {
		fb, ok := asFloat(b)
		return ok && fa == fb
	}
	return reflect.DeepEqual(a, b)
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
