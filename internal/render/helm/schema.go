package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/xeipuuv/gojsonschema"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"slipway/internal/object"
)

// validate checks the values of a chart and its subcharts against their schemas.
func validate(r *release, c *chart.Chart, values map[string]any) (warnings []string, err error) {
	var problems []error
	isSchema := func(f *common.File) bool { return f.Name == "values.schema.json" }
	if i := slices.IndexFunc(c.Raw, isSchema); i >= 0 {
		skipped, err := checkSchema(c.Schema, values)
		for _, s := range skipped {
			warnings = append(warnings, fmt.Sprintf("%s: the schema of its values %s", r.origin, s))
		}
		if err != nil {
			problems = append(problems, &object.ReadError{File: r.origins[c.Raw[i]], Err: err})
		}
	}
	for _, sub := range c.Dependencies() {
		own, ok := values[sub.Name()].(map[string]any)
		if ok {
			more, err := validate(r, sub, own)
			warnings, problems = append(warnings, more...), append(problems, err)
		} else if values[sub.Name()] != nil {
			problems = append(problems, fmt.Errorf("values: %s is a chart: its values must be a mapping",
				sub.Name()))
		}
	}
	return warnings, errors.Join(problems...)
}

// checkSchema checks values against a schema. It also returns what it does not check.
func checkSchema(text []byte, values map[string]any) (skipped []string, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var schema any
	if err := decoder.Decode(&schema); err != nil {
		return nil, err
	}
	root, _ := schema.(map[string]any)
	draft, _ := root["$schema"].(string)
	delete(root, "$schema")
	schema = toDraft7(schema, !strings.Contains(draft, "draft-0"), func(format string, args ...any) {
		skipped = append(skipped, fmt.Sprintf(format, args...))
	})
	if endless(schema, schema, map[uintptr]bool{}) {
		return skipped, errors.New("the schema refers to itself in a cycle")
	}
	compiled, err := gojsonschema.NewSchema(gojsonschema.NewGoLoader(schema))
	if err != nil {
		return skipped, err
	}
	result, err := compiled.Validate(gojsonschema.NewGoLoader(values))
	if err != nil || result.Valid() {
		return skipped, err
	}
	var list []string
	for _, e := range result.Errors() {
		list = append(list, "\n- "+e.Field()+": "+e.Description())
	}
	slices.Sort(list)
	faults := strings.Join(slices.Compact(list), "")
	return skipped, errors.New("the values do not match the chart's schema:" + faults)
}

// toDraft7 rewrites a schema for draft 7, the newest that the library supports. Since 2019, and in schemas
// that name no draft, keywords beside a reference count and formats do not. Helm would fetch external
// references; here they allow everything.
func toDraft7(v any, recent bool, skip func(format string, args ...any)) any {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			v[i] = toDraft7(x, recent, skip)
		}
	case map[string]any:
		for k, x := range v {
			v[k] = toDraft7(x, recent, skip)
		}
		for _, key := range []string{"$id", "id"} {
			if _, ok := v[key].(string); ok {
				delete(v, key)
			}
		}
		ref, ok := v["$ref"].(string)
		if ok && ref != "#" && !strings.HasPrefix(ref, "#/") {
			skip("refers to %s, which is not read: that part is not checked", ref)
			delete(v, "$ref")
		} else if ok && recent && len(v) > 1 {
			delete(v, "$ref")
			all, _ := v["allOf"].([]any)
			v["allOf"] = append(all, map[string]any{"$ref": ref})
		}
		if recent {
			newer(v)
		}
		for _, key := range unknown {
			if _, ok := v[key]; ok {
				skip("uses %s, which is not checked", key)
			}
		}
	}
	return v
}

// unknown are the keywords of later drafts that the library ignores.
var unknown = []string{
	"unevaluatedProperties", "unevaluatedItems", "minContains", "maxContains", "$dynamicRef", "$recursiveRef",
}

// newer renames the keywords that came after draft 7.
func newer(v map[string]any) {
	if _, ok := v["format"].(string); ok {
		delete(v, "format")
	}
	if first, ok := v["prefixItems"].([]any); ok {
		if rest, ok := v["items"]; ok {
			v["additionalItems"] = rest
		}
		v["items"] = first
	}
	for _, key := range []string{"dependentRequired", "dependentSchemas"} {
		more, _ := v[key].(map[string]any)
		if old, ok := v["dependencies"].(map[string]any); ok {
			maps.Copy(old, more)
		} else if more != nil {
			v["dependencies"] = more
		}
	}
}

// endless reports whether a schema refers to itself without consuming a part of the value: the library would
// recurse until the program crashes.
func endless(root, v any, done map[uintptr]bool) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return endless(root, x, done) })
	case map[string]any:
		if circular(root, v, done) {
			return true
		}
		for _, x := range v {
			if endless(root, x, done) {
				return true
			}
		}
	}
	return false
}

// circular follows the schemas that apply to the same value. done holds the entered schemas, true once they
// were left.
func circular(root any, v any, done map[uintptr]bool) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	id := reflect.ValueOf(m).Pointer()
	if left, entered := done[id]; entered {
		return !left
	}
	done[id] = false
	next := []any{m["not"], m["if"], m["then"], m["else"]}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := m[key].([]any)
		next = append(next, list...)
	}
	if ref, ok := m["$ref"].(string); ok {
		next = append(next, pointed(root, ref))
	}
	if slices.ContainsFunc(next, func(x any) bool { return circular(root, x, done) }) {
		return true
	}
	done[id] = true
	return false
}

func pointed(root any, ref string) any {
	for key := range strings.SplitSeq(strings.TrimPrefix(ref, "#"), "/") {
		if key == "" {
			continue
		}
		if plain, err := url.PathUnescape(key); err == nil {
			key = plain
		}
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		switch at := root.(type) {
		case map[string]any:
			root = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(at) {
				return nil
			}
			root = at[i]
		}
	}
	return root
}
