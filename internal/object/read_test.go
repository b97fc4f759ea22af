package object

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadGivesObjectsWithTheirLines(t *testing.T) {
	stream := `# a comment first
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: prod}
spec: {replicas: 3}
---
# nothing here
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: one}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: two}
`
	objects, err := Read(strings.NewReader(stream), "k8s/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		got = append(got, fmt.Sprintf("%s at %s", o.Ref(), o.Origin))
	}
	want := []string{
		"Deployment prod/api at k8s/all.yaml:3",
		"ConfigMap one at k8s/all.yaml:13",
		"ConfigMap two at k8s/all.yaml:16",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n, ok := objects[0].At("spec", "replicas").(int64); !ok || n != 3 {
		t.Errorf("replicas is %T %v", objects[0].At("spec", "replicas"), n)
	}
}

func TestReadValuesAsKubectlDoes(t *testing.T) {
	for text, want := range map[string]any{
		"yes": true, "off": false, "true": true, `"yes"`: "yes", "~": nil, "": nil,
		"1": int64(1), "1e3": int64(1000), "1.0": int64(1), "1.5": 1.5, "0123": int64(83), "0x1f": int64(31),
		"1234567": int64(1234567), "0o17": "0o17", "1:20": "1:20", "2026-01-02": "2026-01-02",
		"!!str 12": "12", "!!binary aGk=": "hi", "18446744073709551615": float64(18446744073709551615),
		"{1: a, true: b}": map[string]any{"1": "a", "true": "b"}, "[a, [b]]": []any{"a", []any{"b"}},
		"|\n    line\n": "line\n", ".5": 0.5, "-7": int64(-7), "<<": "<<",
	} {
		objects, err := Read(strings.NewReader("apiVersion: v1\nkind: X\nmetadata: {name: x}\nspec: "+text+"\n"),
			"f")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, objects[0].At("spec")); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestReadMergesAnchors(t *testing.T) {
	objects, err := Read(strings.NewReader(`apiVersion: v1
kind: X
metadata: {name: x}
base: &base {a: 1, b: {c: 2}}
spec:
  <<: *base
  a: 9
`), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": int64(9), "b": map[string]any{"c": int64(2)}}
	if diff := cmp.Diff(want, objects[0].At("spec")); diff != "" {
		t.Error(diff)
	}
}

func TestReadErrorsNameTheLine(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\n"
	for name, c := range map[string]struct{ text, want string }{
		"no kind":       {"apiVersion: v1\nmetadata: {name: x}\n", "f.yaml:1: object without kind"},
		"nothing of it": {"---\n\n---\na: 1\n", "f.yaml:4: object without apiVersion, kind, metadata.name"},
		"no name":       {head, "f.yaml:1: ConfigMap without metadata.name"},
		"name is a number": {head + "metadata: {name: 12}\n",
			`f.yaml:1: metadata.name must be a string: write "12"`},
		"name is a boolean": {head + "metadata: {name: Off}\n",
			`f.yaml:1: metadata.name must be a string: write "Off"`},
		"namespace is an octal number": {head + "metadata: {name: a, namespace: 0077}\n",
			`f.yaml:1: metadata.namespace must be a string: write "0077"`},
		"name is tagged": {head + "metadata: {name: !!int \"010\"}\n",
			"f.yaml:1: metadata.name must be a string: write it in quotes"},
		"generated name": {head + "metadata: {generateName: a-}\n",
			"f.yaml:1: ConfigMap has generateName, which only a hook may have, because it cannot be deployed again: give it a metadata.name"},
		"no mapping": {"- a\n", "f.yaml:1: an object must be a mapping"},
		"item without kind": {"kind: List\nitems:\n- apiVersion: v1\n",
			"f.yaml:3: object without kind, metadata.name"},
		"duplicate key": {head + "metadata:\n  name: a\n  name: b\n",
			`f.yaml:5: duplicate key "name" (first in line 4)`},
		"broken mapping": {head + "metadata:\n  name: a\n   x: y\n",
			"f.yaml:5: mapping values are not allowed in this context"},
		"tab": {head + "metadata:\n\tname: a\n",
			"f.yaml:4: found character that cannot start any token"},
		"open list":  {head + "a: [1,2\nb: 3\n", "f.yaml:3: did not find expected ',' or ']'"},
		"first line": {"a: b: c\n", "f.yaml:1: mapping values are not allowed in this context"},
		"second document": {head + "metadata: {name: a}\n---\na: : :\n",
			"f.yaml:5: mapping values are not allowed in this context"},
		"unknown alias": {head + "a: 1\nb: *nope\n", "f.yaml:4: unknown anchor 'nope' referenced"},
		"template": {"a: {{ .x }}\n",
			"f.yaml:1: a key must be a string, not {{ }}: the file is a template"},
		"secret's number": {"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {pin: 1234567}\n",
			"f.yaml:1: Secret x: stringData.pin must be a string: write it in quotes"},
		"not an int":   {head + "a: !!int x\n", `f.yaml:3: invalid int "x"`},
		"own tag":      {head + "a: !secret x\n", "f.yaml:3: tag !secret is not supported"},
		"not a number": {head + "a: .nan\n", "f.yaml:3: .nan has no JSON form"},
		"bad merge":    {head + "<<: 1\n", "f.yaml:3: << takes a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(c.text), "f.yaml")
			var re *ReadError
			if !errors.As(err, &re) || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestFault13Budgets(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for name, c := range map[string]struct{ text, want string }{
		"aliases":   {laughs.String(), "aliases stand for more than 100000 values"},
		"own alias": {"a: &x [*x]\n", "nested deeper than 200 levels"},
		"documents": {strings.Repeat("---\na: b\n", 100_000), "more than 10000 documents"},
		"bytes":     {"a: " + strings.Repeat("x", 50<<20), "larger than 8 MiB"},
		"flow": {"a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
			"nested deeper than 200 levels"},
		"far flow": {"a: " + strings.Repeat("[", 200_000), "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(strings.NewReader(c.text), "bomb.yaml")
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "bomb.yaml") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("apiVersion: v1\nkind: X\nmetadata: {name: x}\nspec: {a: [1, 2.5, yes, null, \"0o17\", 2020-01-01]}\n")
	f.Add("a: &a [*a]\n<<: {b: c}\n")
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := Read(strings.NewReader(text), "f")
		if err != nil {
			return
		}
		var s Set
		for _, o := range objects {
			if s.Add(o) != nil {
				return
			}
		}
		roundTrip(t, s)
	})
}
