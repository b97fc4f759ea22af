package helm

import (
	"errors"
	"testing"

	"slipway/internal/object"
)

// FuzzValues reads values files: whatever they hold, there are values or an error that names the file.
func FuzzValues(f *testing.F) {
	for _, s := range append(samples, "", "a: b\n---\na: null\n", "just text", "- a\n", "a: &a [*a]\n",
		"a: {<<: {b: c}}\n", "? {a: b}\n: c\n", "a: !!binary x\n", "\xff", "a: 1e999\n", "a: .nan\n", "{}\n{}\n",
		"%YAML 1.3\n---\na: b\n") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := readValues("v.yaml", []byte(text))
		var where *object.ReadError
		if err != nil && (!errors.As(err, &where) || where.File != "v.yaml") {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil {
			dropNull(copyOf(values))
		}
	})
}
