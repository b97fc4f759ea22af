package object

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Sharing changes no value, and leaves one copy of what is equal.
func TestShare(t *testing.T) {
	t.Parallel()
	const have = `{kind: A, metadata: {name: a, labels: {x: y}}, spec: {list: [{a: 1}, {b: 2}], n: 1, none: {}}}`
	for name, text := range map[string]string{
		"equal":         have,
		"more":          `{kind: A, metadata: {name: a, uid: u, labels: {x: y}}, spec: {list: [{a: 1}, {b: 2}, {c: 3}], n: 1, none: {}, m: 2}}`,
		"less":          `{kind: A, metadata: {name: a}, spec: {list: [{a: 1}]}}`,
		"another value": `{kind: A, metadata: {name: a, labels: {x: z}}, spec: {list: [{a: 2}, {b: 2}], n: 1.5, none: []}}`,
		"another type":  `{kind: A, metadata: {name: a, labels: [x]}, spec: {list: {a: 1}, n: "1", none: null}}`,
	} {
		with, o, same := parseOne(t, have), parseOne(t, text), parseOne(t, text)
		shared := Share(o, with)
		if diff := cmp.Diff(same.Body, shared.Body); diff != "" {
			t.Errorf("%s: changed: %s", name, diff)
		}
		if diff := cmp.Diff(parseOne(t, have).Body, with.Body); diff != "" {
			t.Errorf("%s: the other one changed: %s", name, diff)
		}
		if name == "more" && !identical(shared.At("metadata", "labels"), with.At("metadata", "labels")) {
			t.Errorf("%s: the labels are there twice", name)
		}
	}
}

func parseOne(t *testing.T, text string) Object {
	t.Helper()
	list, err := Read(strings.NewReader("{apiVersion: v1, "+strings.TrimPrefix(text, "{")), "a.yaml")
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return list[0]
}
