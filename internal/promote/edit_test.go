package promote

import (
	"encoding/json"
	"fmt"
	"testing"

	"slipway/internal/check/finding"
	"slipway/internal/render/foldertest"
)

// Edits of real files, byte for byte.
func TestConformance(t *testing.T) {
	b := foldertest.Reference(t, "edits.json", "40 edits of real files")
	var cases []struct {
		ID                 string
		Path               []any
		New, Before, After string
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			var path []string
			for _, step := range c.Path {
				path = append(path, fmt.Sprint(step))
			}
			e, err := Set("f", []byte(c.Before), path, c.New)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := finding.Apply([]byte(c.Before), []finding.Edit{e}); string(got) != c.After {
				t.Errorf("%v: %q in place of %q", path, e.New, c.Before[e.Start:e.End])
			}
		})
	}
}

func TestSet(t *testing.T) {
	for name, c := range map[string]struct{ before, value, after string }{
		"plain":         {"a: {tag: x}\n", "v2", "a: {tag: v2}\n"},
		"crlf":          {"a:\r\n  tag: x\r\n  b: 1\r\n", "v2", "a:\r\n  tag: v2\r\n  b: 1\r\n"},
		"an anchor":     {"a:\n  tag: &t !!str x # mine\n", "1.10", "a:\n  tag: &t !!str \"1.10\" # mine\n"},
		"single quotes": {"a:\n  tag: 'it''s'\n", "v2", "a:\n  tag: 'v2'\n"},
		"double quotes": {"a:\n  tag: \"a\\\"b\" # c\n", "v2", "a:\n  tag: \"v2\" # c\n"},
		"nothing":       {"a:\n  tag:\n", "v2", "a:\n  tag: v2\n"},
		"a comment":     {"a:\n  tag:   # c\n", "v2", "a:\n  tag: v2   # c\n"},
		"no end":        {"a:\n  tag: x", "0123456", "a:\n  tag: \"0123456\""},
		"a boolean":     {"a:\n  tag: x\n", "on", "a:\n  tag: \"on\"\n"},
		"characters":    {"a: {é: ü, tag: x}\n", "v2", "a: {é: ü, tag: v2}\n"},
		"documents": {"a: {tag: x}\n---\na: {tag: x} # last\n---\nb: 1\n", "v2",
			"a: {tag: x}\n---\na: {tag: v2} # last\n---\nb: 1\n"},
		"a reference":   {"a:\n  tag: x\n", "h/a:t@sha256:1", "a:\n  tag: h/a:t@sha256:1\n"},
		"an alias":      {"x: &x v\na: {tag: *x}\n", "v2", "x: &x v\na: {tag: v2}\n"},
		"a block alias": {"x: &x v\na:\n  tag: *x # c\n", "1.0", "x: &x v\na:\n  tag: \"1.0\" # c\n"},
		"merged": {"x: &x {tag: x}\na:\n  <<: *x # c\n", "v2",
			"x: &x {tag: x}\na:\n  <<: *x # c\n  tag: v2\n"},
		"merged in flow": {"x: &x {tag: x}\na: {<<: *x, b: 1}\n", "v2",
			"x: &x {tag: x}\na: {<<: *x, tag: v2, b: 1}\n"},
		"merged lists": {"x: &x {b: 1}\ny: &y {tag: x}\na:\n  <<: [*x, *y]\n", "v2",
			"x: &x {b: 1}\ny: &y {tag: x}\na:\n  <<: [*x, *y]\n  tag: v2\n"},
		"over a merge": {"x: &x {tag: x}\na:\n  <<: *x\n  tag: y\n", "v2",
			"x: &x {tag: x}\na:\n  <<: *x\n  tag: v2\n"},
		"literal": {"a:\n  tag: |-\n    x\n  b: 1\n", "v2", "a:\n  tag: |-\n    v2\n  b: 1\n"},
		"folded": {"a:\n  tag: >- # c\n      x\n\nb: 1\n", "1.10",
			"a:\n  tag: >- # c\n      1.10\n\nb: 1\n"},
		"folded crlf":   {"a:\r\n  tag: >-\r\n    x\r\n", "v2", "a:\r\n  tag: >-\r\n    v2\r\n"},
		"block, no end": {"a:\n  tag: |-\n    x", "v2", "a:\n  tag: |-\n    v2"},
		"with a break":  {"a:\n  tag: | # c\n    x\n  b: 1\n", "v2", "a:\n  tag: v2 # c\n  b: 1\n"},
		"block lines":   {"a:\n  tag: >-\n    x\n    y\n\n  b: 1\n", "v2", "a:\n  tag: v2\n\n  b: 1\n"},
		"plain lines":   {"a:\n  tag: x\n    y\n", "v2", ""},
		"a mark":        {"\ufeffa: {tag: x}\r\n", "v2", "\ufeffa: {tag: v2}\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Set("f", []byte(c.before), []string{"a", "tag"}, c.value)
			if err != nil || c.after == "" {
				if err == nil || c.after != "" {
					t.Fatalf("%v: %+v", err, e)
				}
				return
			}
			if got, _ := finding.Apply([]byte(c.before), []finding.Edit{e}); string(got) != c.after {
				t.Errorf("%q", got)
			}
		})
	}
}

// An image with two places in a file is named with both.
func TestShared(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a used anchor":    {"a:\n  tag: &t x\nb: *t\n", "line 2: the value of &t is used in line 3 too"},
		"in an anchor":     {"a: &a\n  tag: x\nb: {<<: *a}\n", "line 1: the value of &a is used in line 3 too"},
		"an alias above":   {"x: &x\n  tag: x\na: *x\n", "line 3: *x stands for what line 1 has"},
		"a merge above":    {"x: &x {a: {tag: x}}\n<<: *x\n", "line 2: a is merged from line 1"},
		"an alias":         {"x: &x v\na: {tag: *x}\n", ""},
		"a merge":          {"x: &x {tag: v}\na: {<<: *x}\n", ""},
		"an unused anchor": {"a: &a\n  tag: &t x\n", ""},
		"beside an anchor": {"a:\n  tag: x\n  more: &m {b: 1}\nc: *m\n", ""},
	} {
		got := ""
		if err := Shared([]byte(c.text), []string{"a", "tag"}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAdd(t *testing.T) {
	more := []pair{{"name", "a"}, {"newTag", "1.0"}}
	for name, c := range map[string]struct{ before, after string }{
		"no list": {"resources: [x]\n# end\n",
			"resources: [x]\n# end\nimages:\n  - name: a\n    newTag: \"1.0\"\n"},
		"no end":        {"resources: [x]", "resources: [x]\nimages:\n  - name: a\n    newTag: \"1.0\""},
		"an empty list": {"images: []\nb: 1\n", "images: [{name: a, newTag: \"1.0\"}]\nb: 1\n"},
		"nothing":       {"images: # c\nb: 1\n", "images: # c\n  - name: a\n    newTag: \"1.0\"\nb: 1\n"},
		"null":          {"images: null\n", "images: [{name: a, newTag: \"1.0\"}]\n"},
		"flow":          {"images: [{name: b}] # c\n", "images: [{name: b}, {name: a, newTag: \"1.0\"}] # c\n"},
		"flow lines": {"images: [\n  {name: b, newTag: 'x'}, # c\n]\n",
			"images: [\n  {name: b, newTag: 'x'}, {name: a, newTag: \"1.0\"}, # c\n]\n"},
		"a list without indentation": {"resources:\n- x\n- y\n",
			"resources:\n- x\n- y\nimages:\n- name: a\n  newTag: \"1.0\"\n"},
		"a list far from its dashes": {"resources:\r\n -   x\r\n",
			"resources:\r\n -   x\r\nimages:\r\n -   name: a\r\n     newTag: \"1.0\"\r\n"},
		"an alias": {"x: &x\n- name: b\nimages: *x\n", ""},
		"a text":   {"images: a\n", ""},
		"a mark":   {"\ufeffimages: []", "\ufeffimages: [{name: a, newTag: \"1.0\"}]"},
		"a block end": {"images:\n- name: >-\n    b\n",
			"images:\n- name: >-\n    b\n- name: a\n  newTag: \"1.0\"\n"},
		"indent 0": {"images:\n- name: b # c\nb: 1\n",
			"images:\n- name: b # c\n- name: a\n  newTag: \"1.0\"\nb: 1\n"},
		"indent 4": {"images:\r\n    -   name: b\r\n",
			"images:\r\n    -   name: b\r\n    -   name: a\r\n        newTag: \"1.0\"\r\n"},
		"flow in block": {"images:\n  - {name: b, newTag: x}",
			"images:\n  - {name: b, newTag: x}\n  - name: a\n    newTag: \"1.0\""},
		"texts":     {"images: [a, b]\n", ""},
		"flow file": {"{resources: [x]}\n", "{resources: [x], images: [{name: a, newTag: \"1.0\"}]}\n"},
		"{}":        {"{}", "{images: [{name: a, newTag: \"1.0\"}]}"},
	} {
		t.Run("item/"+name, func(t *testing.T) {
			e, err := addItem("f", []byte(c.before), "images", more...)
			if err != nil || c.after == "" {
				if err == nil || c.after != "" {
					t.Fatalf("%v: %+v", err, e)
				}
				return
			}
			if got, _ := finding.Apply([]byte(c.before), []finding.Edit{e}); string(got) != c.after {
				t.Errorf("%q", got)
			}
		})
	}
	for name, c := range map[string]struct{ before, after string }{
		"block":  {"a:\n- name: x # c\n  b: 1\n", "a:\n- name: x # c\n  newTag: t\n  digest: d\n  b: 1\n"},
		"flow":   {"a: [{name: x, b: 1}]\n", "a: [{name: x, newTag: t, digest: d, b: 1}]\n"},
		"no end": {"a:\n  - name: 'x'", "a:\n  - name: 'x'\n    newTag: t\n    digest: d"},
	} {
		t.Run("key/"+name, func(t *testing.T) {
			e, err := addAfter("f", []byte(c.before), []string{"a", "0"}, "name", pair{"newTag", "t"},
				pair{"digest", "d"})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := finding.Apply([]byte(c.before), []finding.Edit{e}); string(got) != c.after {
				t.Errorf("%q", got)
			}
		})
	}
}
