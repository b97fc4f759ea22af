package agent

import (
	"testing"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/render/bundle"
)

// An answer about a rendered set names the lines of the repository, and a nil set leaves it as it is.
func TestRelocate(t *testing.T) {
	at, want := object.Origin{File: "objects/00000.yaml", Line: 12}, object.Origin{File: "k8s/base/web.yaml",
		Line: 3}
	answer := func() deploy.Answer {
		place := at
		return deploy.Answer{
			Objects: []object.Object{{Origin: at}}, Places: []*object.Origin{&place, nil},
			Review: deploy.Review{Blocking: []finding.Finding{{Place: finding.At(at)}}},
		}
	}
	p := &pulled{Bundle: bundle.Bundle{Origins: map[string][]bundle.Mark{
		at.File: {{At: 1, Origin: object.Origin{File: "k8s/base/other.yaml", Line: 1}}, {At: 9, Origin: want}},
	}}}
	moved, same := answer(), answer()
	p.relocate(&moved)
	(*pulled)(nil).relocate(&same)
	for a, want := range map[*deploy.Answer]object.Origin{&moved: want, &same: at} {
		if a.Objects[0].Origin != want || *a.Places[0] != want || a.Review.Blocking[0].Place != finding.At(want) {
			t.Errorf("got %v, %v and %v, want %v", a.Objects[0].Origin, a.Places[0], a.Review.Blocking[0].Place, want)
		}
	}
}
