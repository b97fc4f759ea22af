package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// check does nothing twice: the figures are what it needs for two overlays of one base.
func TestWork(t *testing.T) {
	p, err := project.Open(foldertest.Of(t, map[string]string{
		"k8s/base/web.yaml":                    deployment,
		"k8s/base/kustomization.yaml":          "resources: [web.yaml]\n",
		"k8s/overlays/dev/kustomization.yaml":  "resources: [../../base]\n",
		"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\npatches:\n  - path: more.yaml\n",
		"k8s/overlays/prod/more.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " +
			"web}\nspec:\n  replicas: 3\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := render.Open(p.Dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	report, err := Run(t.Context(), Input{Project: p, Environments: p.Environments, Renderer: r})
	if err != nil || len(report.Findings) == 0 {
		t.Fatal(report, err)
	}
	got := r.Stats()
	// Each environment once, for all checks, and prod once more without its only override: whether that has an
	// effect only a render tells.
	if got.Renders != 3 {
		t.Errorf("%d renders", got.Renders)
	}
	// The base's two files, the two overlays and the patch, each once for the places of all findings and
	// overrides, although both environments read the base.
	if got.Documents != 5 {
		t.Errorf("%d files parsed", got.Documents)
	}
}

// What the caller has rendered is not rendered again, and gives the findings about its objects.
func TestObjects(t *testing.T) {
	p, err := project.Open(foldertest.Of(t, map[string]string{"k8s/web.yaml": deployment}))
	if err != nil {
		t.Fatal(err)
	}
	r, err := render.Open(p.Dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	result, err := r.Render(t.Context(), p.Environments[0])
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Project: p, Environments: p.Environments, Renderer: r}
	whole, err := Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Stats().Renders
	part, err := Objects(t.Context(), in, []Rendered{{Environment: p.Environments[0], Result: result}})
	if err != nil || r.Stats().Renders != before {
		t.Fatalf("%d renders, %v", r.Stats().Renders-before, err)
	}
	if diff := cmp.Diff(whole.Findings, part.Findings); diff != "" || len(part.Findings) == 0 {
		t.Error(diff)
	}
	in.Renderer = nil // the places are those of the objects then
	part, err = Objects(t.Context(), in, []Rendered{{Environment: p.Environments[0], Result: result}})
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Findings) != len(whole.Findings) || part.Findings[0].Place.Line == 0 {
		t.Error(part.Findings)
	}
}
