package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/check/finding"
	"slipway/internal/object"
	"slipway/internal/project"
)

// walk validates one object. It walks the Go type beside the value instead of decoding: a decoder stops at
// the first wrong type, and does not name elements of lists.
type walk struct {
	*Validator
	*report
}

// report collects the findings about one object.
type report struct {
	object   object.Object
	findings []finding.Finding
}

func (r *report) add(f finding.Finding, fix string) {
	f.Fix = fix
	r.findings = append(r.findings, f)
}

// value validates a value against a type. The API accepts null for every type.
func (w *walk) value(path string, v any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v == nil {
		return
	}
	if own, ok := reflect.New(t).Interface().(json.Unmarshaler); ok {
		w.own(path, v, own)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.structure(path, v, t)
	case reflect.Map:
		if m, ok := mapping(w, path, v); ok {
			for _, k := range slices.Sorted(maps.Keys(m)) {
				w.value(object.Join(path, k), m[k], t.Elem())
			}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			w.base64(path, v)
			return
		}
		w.list(path, v, func(at string, e any) { w.value(at, e, t.Elem()) })
	case reflect.String, reflect.Bool:
		if reflect.TypeOf(v).Kind() != t.Kind() {
			w.wrong(path, v, map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean"}[t.Kind()])
		}
	case reflect.Int32, reflect.Int64:
		if i, ok := whole(v); !ok || reflect.Zero(t).OverflowInt(i) {
			w.wrong(path, v, "integer")
		}
	case reflect.Float32, reflect.Float64:
		if !number(v) {
			w.wrong(path, v, "number")
		}
	}
}

func (w *walk) structure(path string, v any, t reflect.Type) {
	m, ok := mapping(w, path, v)
	if !ok {
		return
	}
	fields := w.fieldsOf(t)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if field, known := fields[k]; known {
			w.value(object.Join(path, k), m[k], field)
			w.distinct(object.Join(path, k), m[k], keysOf[t.Name()+"."+k], byDefault)
		} else if m[k] != nil {
			w.unknown(path, k, t.Name(), slices.Sorted(maps.Keys(fields)))
		}
	}
}

// fieldsOf returns the fields of a struct by their JSON names, those of embedded structs included.
func (v *Validator) fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := v.fields[t]; ok {
		return known
	}
	fields := map[string]reflect.Type{}
	v.fields[t] = fields
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch below := f.Type; {
		case name == "" && (f.Anonymous || strings.Contains(f.Tag.Get("json"), ",inline")):
			for below.Kind() == reflect.Pointer {
				below = below.Elem()
			}
			maps.Copy(fields, v.fieldsOf(below))
		case name != "" && name != "-":
			fields[name] = below
		}
	}
	return fields
}

// own validates against a type that decodes itself: a quantity, a time, an IntOrString.
func (w *walk) own(path string, v any, t json.Unmarshaler) {
	text, err := json.Marshal(v)
	if err == nil {
		err = t.UnmarshalJSON(text)
	}
	if err != nil {
		w.wrong(path, v, reflect.TypeOf(t).Elem().Name())
	}
}

func (w *walk) base64(path string, v any) {
	s, ok := v.(string)
	if ok {
		_, err := base64.StdEncoding.DecodeString(s)
		ok = err == nil
	}
	if !ok {
		w.wrong(path, v, "base64")
	}
}

func mapping(w *walk, path string, v any) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		w.wrong(path, v, "object")
	}
	return m, ok
}

func (w *walk) list(path string, v any, each func(path string, v any)) {
	list, ok := v.([]any)
	if !ok {
		w.wrong(path, v, "array")
		return
	}
	for i, name := range object.Elements(list) {
		each(path+name, list[i])
	}
}

func (w *walk) unknown(path, key, in string, known []string) {
	where := "at the top level"
	if path != "" {
		where = "in " + path
	}
	f := unknownField.New(w.object, object.Join(path, key),
		"%s has no field %s %s: the API server refuses the object, or drops the field silently", in, key, where)
	if w.minor > newest { // a newer API may have the field
		f.Severity = finding.Warning
	}
	fix := "Remove it, or move it to the level where it belongs."
	if s := project.Suggest(key, known); s != "" {
		fix = "Write `" + s + "`."
	}
	w.add(f, fix)
}

// wanted are the types as messages name them, by their names in definitions and in Go.
var wanted = map[string]string{
	"string": "a string", "boolean": "a boolean", "integer": "an integer", "number": "a number",
	"object": "an object",
	"array":  "a list", "base64": "a string in base64", "IntOrString": "an integer or a string",
	"Quantity": `a quantity such as 500m or "128Mi"`,
	"Time":     "a time such as 2006-01-02T15:04:05Z", "MicroTime": "a time such as 2006-01-02T15:04:05Z",
	"Duration": `a duration such as "1m30s"`,
}

func (w *walk) wrong(path string, v any, want string) {
	plain, known := wanted[want]
	if !known {
		plain = "a " + want
	}
	is, fix := "", ""
	switch v := v.(type) {
	case map[string]any:
		is = "an object"
	case []any:
		is = "a list"
	case string:
		is = "the string " + strconv.Quote(v)
		number, err := strconv.ParseInt(v, 10, 64)
		isNumber := err == nil && strconv.FormatInt(number, 10) == v
		if isNumber && (want == "integer" || want == "number") {
			fix = "Remove the quotes: " + v
		} else if want == "boolean" && (v == "true" || v == "false") {
			fix = "Remove the quotes: " + v
		}
	default:
		is = fmt.Sprint(v)
		if want == "string" { // the value has lost its spelling: 1.10 is 1.1, and 0644 is 420
			is, fix = "a number", finding.Quote
			if _, ok := v.(bool); ok {
				is = "a boolean"
			}
		}
	}
	if object.IsSecret(w.object) { // messages do not repeat values of Secrets
		is, fix = "this value", ""
	}
	f := wrongType.New(w.object, path, "%s must be %s, not %s", path, plain, is)
	if is == fmt.Sprint(v) {
		f.Value = v
	}
	w.add(f, fix)
}

func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

func number(v any) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}
