package finding

import (
	"slices"
	"testing"

	"slipway/internal/object"
)

func TestObjects(t *testing.T) {
	var of Fold
	for _, ref := range []object.Ref{
		{Kind: "Deployment", Namespace: "dev", Name: "api"}, {Kind: "CronJob", Name: "night"},
		{Kind: "Deployment", Name: "web"}, {Kind: "Deployment", Namespace: "prod", Name: "api"},
	} {
		of = append(of, Finding{Object: &ref})
	}
	for width, want := range map[int]string{
		80: "Deployment api, web; CronJob night", 34: "Deployment api, web; CronJob night",
		33: "Deployment api, web and 1 more", 0: "Deployment api and 2 more",
	} {
		if got := of.Objects(width); got != want {
			t.Errorf("%d: got %q, want %q", width, got, want)
		}
	}
	files := Fold{{Place: Place{File: "a.yml", Line: 2}}, {Place: Place{File: "b.yml"}}}
	if got := files.Objects(80); got != "a.yml:2; b.yml" {
		t.Errorf("places: %q", got)
	}
}

// Parts that one reason kept from being checked in the same environments are one line; nothing is left out
// without a count.
func TestSummarize(t *testing.T) {
	all := []Unchecked{
		{Environments: []string{"dev"}, What: "the schema of A", Why: "no definition"},
		{Environments: []string{"dev"}, What: "the schema of B", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the schema of B", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the schema of A", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the schema of C", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the effect of p1", Place: Place{File: "k.yaml", Line: 1},
			Why: "time"},
		{Environments: []string{"prod"}, What: "the effect of p2", Place: Place{File: "k.yaml", Line: 2},
			Why: "time"},
		{Environments: []string{"prod"}, What: "the effect of p3", Place: Place{File: "k.yaml", Line: 3},
			Why: "time"},
		{Environments: []string{"prod"}, What: "the overrides", Place: Place{File: "l.yaml"}, Why: "time"},
	}
	want := []Unchecked{
		{Environments: []string{"dev", "prod"}, What: "the schema of A, B", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the schema of C", Why: "no definition"},
		{Environments: []string{"prod"}, What: "the effect of p1 (k.yaml:1), p2 (k.yaml:2), p3 (k.yaml:3) and 1 more",
			Why: "time"},
	}
	same := func(a, b Unchecked) bool {
		return a.What == b.What && a.Why == b.Why && slices.Equal(a.Environments, b.Environments)
	}
	if got := Summarize(all, false); !slices.EqualFunc(got, want, same) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Summarize(all, true)[2].What; got !=
		"the effect of p1 (k.yaml:1), p2 (k.yaml:2), p3 (k.yaml:3), the overrides (l.yaml)" {
		t.Errorf("everything: %q", got)
	}
}
