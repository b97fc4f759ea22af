package finding

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two edits of one line are shown as one. Those of other lines and files, and a line that is added, stand
// apart. A comment that stays is left out.
func TestLinesOf(t *testing.T) {
	text := "images: [{name: web, newTag: \"1\", digest: old}]\nother: 1 # why\n"
	change := func(file, old, now string) Change {
		at := strings.Index(text, old)
		return Change{Edit{File: file, Start: at, End: at + len(old), New: now}, []byte(text)}
	}
	end := len(text) - 1
	got := LinesOf([]Change{change("a", "old", "new"), change("a", `"1"`, `"2"`),
		change("a", "other: 1", "other: 2"), change("c", "1 # why", "2 # because"), change("b", `"1"`, `"2"`),
		{Edit{File: "a", Start: end, End: end, New: "\nmore: 1"}, []byte(text)}})
	want := []Line{
		{"a", 1, `images: [{name: web, newTag: "1", digest: old}]`,
			`images: [{name: web, newTag: "2", digest: new}]`},
		{"a", 2, "other: 1", "other: 2"}, {"c", 2, "other: 1 # why", "other: 2 # because"},
		{"b", 1, `images: [{name: web, newTag: "1", digest: old}]`,
			`images: [{name: web, newTag: "2", digest: old}]`},
		{"a", 3, "", "more: 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
