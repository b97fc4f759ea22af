package object

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// roundTrip writes a set, reads it back and compares.
func roundTrip(t *testing.T, s Set) {
	t.Helper()
	var text bytes.Buffer
	if err := WriteYAML(&text, s.Objects()); err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(text.Bytes()), "written")
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	if len(again) != s.Len() {
		t.Fatalf("%d objects became %d:\n%s", s.Len(), len(again), text.String())
	}
	for i, o := range s.Objects() {
		if diff := cmp.Diff(o.Body, again[i].Body); diff != "" {
			t.Errorf("%s\n%s", diff, text.String())
		}
	}
}

func TestWriteYAMLIsWhatKubectlWrites(t *testing.T) {
	var s Set
	for _, o := range []Object{
		{Body: map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "a"},
			"data": map[string]any{"on": "yes", "n": "12", "text": "a\nb\n"}}},
		{Body: map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{"name": "b"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "ports": []any{int64(8080)}}}}}},
	} {
		if err := s.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	if err := WriteYAML(&text, s.Objects()); err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: v1
data:
  "n": "12"
  "on": "yes"
  text: |
    a
    b
kind: ConfigMap
metadata:
  name: a
---
apiVersion: v1
kind: Pod
metadata:
  name: b
spec:
  containers:
  - name: c
    ports:
    - 8080
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
	roundTrip(t, s)
}

func TestWriteYAMLRoundTripsOddStrings(t *testing.T) {
	data := map[string]any{}
	for _, v := range []string{
		"", " ", "yes", "No", "y", "on", "null", "~", "1", "0123", "0o17", "0b1", "0x1", "1e3", "1_000",
		"1:20", ".5", ".nan",
		"2026-01-02", "2026-01-02T03:04:05Z", "<<", "=", "*a", "&a", "- a", "a: b", "#x", "a #b", "'", `"`, "\\",
		"\t", "\u0085", "\u2028",
		"\ufeff", "a\r\nb", " lead", "trail ", "\nlead", "x\n\n\n", "---", "...", "%a", "@a", "`a", "!a", "{", "[",
		"é", "<&>", strings.Repeat("long ", 60),
	} {
		data["k"+v] = v
		data[v+"k"] = v
	}
	data["<<"] = "merge?"
	data["int"], data["big"], data["float"], data["none"], data["yes"] = int64(1<<53+1), 1e21, 0.1, nil, true
	var s Set
	if err := s.Add(Object{Body: map[string]any{"apiVersion": "v1", "kind": "X",
		"metadata": map[string]any{"name": "x"}, "data": data}}); err != nil {
		t.Fatal(err)
	}
	roundTrip(t, s)
}
