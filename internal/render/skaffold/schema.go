package skaffold

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"slipway/internal/project"
)

//go:embed schema.yaml
var schemaText []byte

// kind says what a field holds; schema.yaml explains the notation.
type kind struct {
	of                              string
	pointer, list, required, always bool
	group                           string
}

// nested reports whether profiles merge the field's structure field by field.
func (k kind) nested() bool { return !k.pointer && !k.list && k.structure() }

func (k kind) structure() bool { return k.of[0] >= 'A' && k.of[0] <= 'Z' }

func (k kind) empty() any {
	switch {
	case k.list:
		return []any{}
	case k.structure():
		return map[string]any{}
	}
	return ""
}

// schema is read from its text once: fields by structure and name.
var schema = sync.OnceValue(func() map[string]map[string]kind {
	var text map[string]map[string]string
	if err := yaml.Unmarshal(schemaText, &text); err != nil {
		panic(err)
	}
	out := map[string]map[string]kind{}
	for name := range text {
		out[name] = fieldsOf(text, name)
	}
	for name, fields := range out {
		for field, k := range fields {
			if k.structure() && out[k.of] == nil {
				panic(fmt.Sprintf("schema.yaml: %s.%s is of an unknown structure %s", name, field, k.of))
			}
		}
	}
	return out
})

func fieldsOf(text map[string]map[string]string, name string) map[string]kind {
	out := map[string]kind{}
	for field, notation := range text[name] {
		if field == "<" {
			maps.Copy(out, fieldsOf(text, notation))
			continue
		}
		var k kind
		notation, k.group, _ = strings.Cut(notation, "|")
		notation, k.required = strings.CutSuffix(notation, "!")
		notation, k.always = strings.CutSuffix(notation, "+")
		notation, k.pointer = strings.CutPrefix(notation, "*")
		k.of, k.list = strings.CutPrefix(notation, "[]")
		out[field] = k
	}
	return out
}

// unknown is the error for a key that a structure does not have.
func unknown(key string, fields map[string]kind) error {
	known := slices.Sorted(maps.Keys(fields))
	if s := project.Suggest(key, known); s != "" {
		return fmt.Errorf("unknown key %q (did you mean %q?)", key, s)
	}
	return fmt.Errorf("unknown key %q (known: %s)", key, strings.Join(known, ", "))
}
