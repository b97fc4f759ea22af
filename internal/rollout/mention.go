package rollout

import (
	"maps"
	"slices"
	"strings"

	"slipway/internal/lazyregexp"
	"slipway/internal/object"
)

var (
	mentionedPath  = lazyregexp.New(`\b(?:spec|data|metadata)(?:\.[A-Za-z0-9_-]+|\[[^\]]+\])+`)
	mentionedValue = lazyregexp.New("[\"'`]([^\"'`]+)[\"'`]")
)

// Mentioned returns the path of the field of an object that a message speaks of: a controller, a webhook or a
// policy writes the path, or quotes the value. It is "" where the message does neither.
func Mentioned(o object.Object, message string) string {
	prefixes := []string{""}
	if _, path, ok := o.PodSpec(); ok && path != "spec" { // what is said of a pod holds for its template
		prefixes = append(prefixes, strings.TrimSuffix(path, "spec"))
	}
	for _, path := range mentionedPath().FindAllString(message, -1) {
		for _, prefix := range prefixes {
			steps, err := object.Steps(prefix + path)
			if err != nil {
				continue
			}
			if field, err := object.Canonical(o.Body, steps); err == nil {
				return field
			}
		}
	}
	for _, m := range mentionedValue().FindAllStringSubmatch(message, -1) {
		if at := pathsOf(o.At("spec"), "spec", m[1]); len(at) == 1 {
			return at[0]
		}
	}
	return ""
}

// pathsOf returns the paths of the texts in a value that equal text.
func pathsOf(v any, path, text string) []string {
	var at []string
	switch v := v.(type) {
	case string:
		if v == text {
			return []string{path}
		}
	case []any:
		for i, step := range object.Elements(v) {
			at = append(at, pathsOf(v[i], path+step, text)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			at = append(at, pathsOf(v[key], object.Join(path, key), text)...)
		}
	}
	return at
}
