package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
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

// An error of one environment is placed by its own overrides, however many environments the project has.
func TestDeploymentAlone(t *testing.T) {
	renders := map[int]int{}
	for _, n := range []int{2, 12} {
		files := map[string]string{
			"k8s/base/web.yaml":                    deployment,
			"k8s/base/kustomization.yaml":          "resources: [web.yaml]\n",
			"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\nimages: [{name: x, newTag: latest}]\n",
		}
		for i := range n {
			files[fmt.Sprintf("k8s/overlays/dev%d/kustomization.yaml", i)] = "resources: [../../base]\n" +
				"images: [{name: x, newTag: v2}]\nreplicas: [{name: web, count: 2}]\n"
		}
		p, err := project.Open(foldertest.Of(t, files))
		if err != nil {
			t.Fatal(err)
		}
		r, err := render.Open(p.Dir, render.Options{})
		if err != nil {
			t.Fatal(err)
		}
		env, err := p.Environment("prod")
		if err != nil {
			t.Fatal(err)
		}
		result, err := r.Render(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Project: p, Renderer: r}
		report, err := Deployment(t.Context(), in, Rendered{Environment: env, Result: result})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(report.Findings, func(f finding.Finding) bool { return f.Rule == "image-mutable" })
		if i < 0 || report.Findings[i].Place.File != "k8s/overlays/prod/kustomization.yaml" {
			t.Errorf("%v", report.Findings)
		}
		renders[n] = r.Stats().Renders
		r.Close()
	}
	if renders[2] != renders[12] {
		t.Errorf("renders for 2 and 12 other environments: %v", renders)
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

// The renders that check needs grow with the number of services, and not faster: leaving out an override
// renders only its module again, and overrides for different services share a render.
func TestWorkGrows(t *testing.T) {
	for name, write := range map[string]func(int) map[string]string{"modules": modules, "nested": nested} {
		counts := map[int]int{}
		for _, n := range []int{3, 6, 12} {
			p, err := project.Open(foldertest.Of(t, write(n)))
			if err != nil {
				t.Fatal(err)
			}
			r, err := render.Open(p.Dir, render.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Run(t.Context(), Input{Project: p, Environments: p.Environments, Renderer: r}); err != nil {
				t.Fatal(err)
			}
			counts[n] = r.Stats().Parts
			r.Close()
		}
		if more := counts[12] - counts[6]; more > 2*(counts[6]-counts[3]) {
			t.Errorf("%s: parts rendered for 3, 6 and 12 services: %v", name, counts)
		}
	}
}

// modules are services in Skaffold modules of their own, with a component that all share.
func modules(n int) map[string]string {
	files := map[string]string{
		"slipway.yaml": "project: p\nenvironments: {prod: {class: production, skaffold: {file: skaffold.yaml}}}\n",
		"common/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" +
			"labels: [{pairs: {part-of: shop}}]\n",
	}
	requires := "apiVersion: skaffold/v4beta13\nkind: Config\nrequires:\n"
	for i := range n {
		name := fmt.Sprintf("m%02d", i)
		requires += "- {path: " + name + "}\n"
		files[name+"/skaffold.yaml"] = "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: " + name +
			"}\nmanifests: {kustomize: {paths: [k8s]}}\ndeploy: {kubectl: {}}\n"
		files[name+"/k8s/web.yaml"] = strings.ReplaceAll(deployment, "name: web", "name: "+name)
		files[name+"/k8s/kustomization.yaml"] = "resources: [web.yaml]\ncomponents: [../../common]\n" +
			"replicas: [{name: " + name + ", count: 3}]\nimages: [{name: x, newTag: v2}]\n"
	}
	files["skaffold.yaml"] = requires
	return files
}

// nested are overlays of which one is made of the other, with an entry for each service.
func nested(n int) map[string]string {
	files := map[string]string{}
	resources, replicas := "resources:\n", "replicas:\n"
	for i := range n {
		name := fmt.Sprintf("m%02d", i)
		files["k8s/base/"+name+".yaml"] = strings.ReplaceAll(deployment, "name: web", "name: "+name)
		resources += "- " + name + ".yaml\n"
		replicas += "- {name: " + name + ", count: COUNT}\n"
	}
	files["k8s/base/kustomization.yaml"] = resources
	files["k8s/overlays/staging/kustomization.yaml"] = "resources: [../../base]\n" +
		strings.ReplaceAll(replicas, "COUNT", "2")
	files["k8s/overlays/prod/kustomization.yaml"] = "resources: [../staging]\n" +
		strings.ReplaceAll(replicas, "COUNT", "3")
	return files
}
