package schema

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// custom validates the object against a version of its definition, without anyOf, oneOf, not, formats and
// CEL. The validators of the API server would do more, and cost each start of the program over a millisecond.
func (w *walk) custom(definition object.Object, version string) {
	list, _ := definition.At("spec", "versions").([]any)
	var served []string
	for _, e := range list {
		entry := object.Object{Body: object.Mapping(e)}
		name, _ := entry.At("name").(string)
		if entry.At("served") != false {
			served = append(served, name)
		}
		if name != version || entry.At("served") == false {
			continue
		}
		if entry.At("deprecated") == true {
			w.add(apiDeprecated.New(w.object, "apiVersion", "%s %s is deprecated by its own definition",
				w.object.APIVersion(), w.object.Ref().Kind), "")
		}
		w.properties("", w.object.Body, object.Mapping(entry.At("schema", "openAPIV3Schema")), true)
		return
	}
	w.add(apiRemoved.New(w.object, "apiVersion",
		"the CustomResourceDefinition of %s does not serve %s: the API server refuses the object",
		w.object.Ref().Kind, version),
		"Use one of "+strings.Join(served, ", ")+".")
}

// follow validates a value against the schema of a definition.
func (w *walk) follow(path string, v any, s map[string]any) {
	if v == nil {
		return
	}
	if s["x-kubernetes-int-or-string"] == true {
		_, text := v.(string)
		if _, number := whole(v); !text && !number {
			w.wrong(path, v, "IntOrString")
		}
		return
	}
	typ, _ := s["type"].(string)
	_, isWhole := whole(v)
	_, isList := v.([]any)
	is := map[string]bool{"string": reflect.TypeOf(v).Kind() == reflect.String,
		"boolean": reflect.TypeOf(v).Kind() == reflect.Bool,
		"integer": isWhole, "number": number(v), "array": isList, "object": reflect.TypeOf(v).Kind() == reflect.Map}
	if fits, known := is[typ]; known && !fits {
		w.wrong(path, v, typ)
		return
	}
	w.limits(path, v, s)
	switch typ {
	case "array":
		items := object.Mapping(s["items"])
		w.list(path, v, func(at string, e any) { w.follow(at, e, items) })
		w.distinct(path, v, mapKeys(s), defaults(items))
	case "object":
		w.properties(path, object.Mapping(v), s, s["x-kubernetes-embedded-resource"] == true)
	}
}

// mapKeys are the fields that tell the entries of a list apart.
func mapKeys(s map[string]any) []string {
	var keys []string
	list, _ := s["x-kubernetes-list-map-keys"].([]any)
	for _, k := range list {
		keys = append(keys, fmt.Sprint(k))
	}
	return keys
}

func defaults(s map[string]any) map[string]any {
	filled := map[string]any{}
	for name, property := range object.Mapping(s["properties"]) {
		filled[name] = object.Mapping(property)["default"]
	}
	return filled
}

func (w *walk) properties(path string, m, s map[string]any, resource bool) {
	known, rest := object.Mapping(s["properties"]), object.Mapping(s["additionalProperties"])
	open := s["x-kubernetes-preserve-unknown-fields"] == true || s["additionalProperties"] == true || s == nil
	for _, k := range slices.Sorted(maps.Keys(m)) {
		at := object.Join(path, k)
		switch below, ok := known[k]; {
		case resource && k == "metadata":
			w.value(at, m[k], reflect.TypeFor[metav1.ObjectMeta]())
		case resource && (k == "apiVersion" || k == "kind"):
		case ok:
			w.follow(at, m[k], object.Mapping(below))
		case rest != nil:
			w.follow(at, m[k], rest)
		case !open && m[k] != nil:
			w.unknown(path, k, w.object.Ref().Kind, slices.Sorted(maps.Keys(known)))
		}
	}
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		if _, filled := object.Mapping(known[name])["default"]; m[name] == nil && !filled {
			w.missing(object.Join(path, name))
		}
	}
}

// limits validates one value against the limits in a definition.
func (w *walk) limits(path string, v any, s map[string]any) {
	refuse := func(format string, args ...any) {
		w.add(invalidValue.New(w.object, path, "%s %s", path, fmt.Sprintf(format, args...)), "")
	}
	size, unit := 0.0, ""
	switch v := v.(type) {
	case string:
		size, unit = float64(utf8.RuneCountInString(v)), "Length"
		if pattern, _ := s["pattern"].(string); pattern != "" {
			if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(v) {
				refuse("must match %s", pattern)
			}
		}
	case []any:
		size, unit = float64(len(v)), "Items"
	case map[string]any:
		size, unit = float64(len(v)), "Properties"
	case int64:
		size, unit = float64(v), "imum"
	case float64:
		size, unit = v, "imum"
	}
	what := map[string]string{"imum": "must be at %s %v", "Length": "must have at %s %v characters"}[unit]
	if what == "" {
		what = "must have at %s %v entries"
	}
	if low, ok := float(s["min"+unit]); ok && size < low {
		refuse(what, "least", low)
	}
	if high, ok := float(s["max"+unit]); ok && size > high {
		refuse(what, "most", high)
	}
	allowed, _ := s["enum"].([]any)
	if allowed != nil && !slices.ContainsFunc(allowed, func(a any) bool {
		return fmt.Sprint(a) == fmt.Sprint(v)
	}) {
		refuse("must be one of %s", strings.Trim(fmt.Sprint(allowed...), "[]"))
	}
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
