package cluster

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestKindsSettle applies each kind in spellings that the server rewrites. The plan afterwards is empty, warns
// of nothing, with and without force. UPDATE=1 writes docs/kinds.md.
func TestKindsSettle(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t)
	text := strings.ReplaceAll(string(data), "$N", p.Namespace)
	set, err := Place(t.Context(), p.admin, p.Parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	var rows []string
	for _, o := range set.Objects() {
		o, ref := withoutAggregated(o), o.Ref()
		if err := p.admin.Apply(t.Context(), o, false); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		if ref.Namespace == "" {
			t.Cleanup(func() { _ = p.admin.Delete(t.Context(), ref, "") })
		}
		if !kinds[ref.Group+"/"+ref.Kind] {
			spellings, _ := o.Annotations()["spellings"].(string)
			rows = append(rows, fmt.Sprintf("| %s | `%s` | %s |", ref.Kind, o.APIVersion(), cmp.Or(spellings, "as it is")))
		}
		kinds[ref.Group+"/"+ref.Kind] = true
	}
	const atLeast = 40
	if len(kinds) < atLeast {
		t.Errorf("%d kinds, want %d", len(kinds), atLeast)
	}
	for _, force := range []bool{false, true} {
		got := observed(t, p.admin, set, nil, force)
		for _, c := range got.Changes {
			for _, f := range c.Lost {
				t.Errorf("%s: %s is %v in the source and %v in the cluster", c.Ref, f.Path, f.Before, f.After)
			}
		}
		if !got.Empty() {
			t.Errorf("force %v: %s", force, strings.Join(summary(got), "\n"))
		}
	}
	slices.Sort(rows)
	settled(t, rows)
}

// settled compares the table of kinds in the documentation with the one of the test.
func settled(t *testing.T, rows []string) {
	t.Helper()
	const file = "../../docs/kinds.md"
	page := "# Kinds that settle\n\n`make kinds` writes this table with a test that applies " +
		"[each kind](../internal/cluster/testdata/kinds.yaml) to a real\nAPI server, in spellings that the server " +
		"rewrites. The plan afterwards is empty and has no warning, with and without\n`--force-conflicts`.\n\n" +
		"| kind | version | spellings |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if diff := gocmp.Diff(page, string(have)); diff != "" || err != nil {
		t.Errorf("stale: run `make kinds`: %s %v", diff, err)
	}
}
