package project

import (
	"slices"
	"testing"
)

var someNotes = []Note{
	{Text: "using k8s/dev", Environments: []string{"dev"}, Uses: Local},
	{Text: "using k8s/staging", Environments: []string{"staging"}, Uses: Staging},
	{Text: "moon is treated as staging", Environments: []string{"moon", "prod"}},
	{Text: "not used: old", Unused: true},
	{Text: "charts are fetched"},
}

// A verb that is about one environment is not told about the others. A class in a sentence is not a name.
func TestNotesAbout(t *testing.T) {
	for name, want := range map[string][]string{
		"dev":     {"using k8s/dev", "charts are fetched"},
		"staging": {"using k8s/staging", "charts are fetched"},
		"prod":    {"moon is treated as staging", "charts are fetched"},
	} {
		if got := NotesAbout(someNotes, name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFoldNotes(t *testing.T) {
	if got := FoldNotes(someNotes); !slices.Equal(got, NoteTexts(someNotes)) {
		t.Errorf("few: %q", got)
	}
	many := slices.Clone(someNotes)
	for _, name := range []string{"a", "b", "c"} {
		many = append(many, Note{Text: "using " + name, Environments: []string{name}, Uses: Staging})
	}
	want := []string{
		"using 5 environments: dev (local), staging, a, b, c (staging); run `slipway init --print` " +
			"to see their sources",
		"moon is treated as staging", "not used: old", "charts are fetched",
	}
	if got := FoldNotes(many); !slices.Equal(got, want) {
		t.Errorf("many: %q", got)
	}
}
