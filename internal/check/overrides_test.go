package check

import (
	"strings"
	"testing"
)

func TestOverrides(t *testing.T) {
	base := func(prod string, more ...string) map[string]string {
		files := map[string]string{
			"k8s/base/web.yaml": strings.ReplaceAll(deployment, "image: x",
				"image: reg.localhost:5000/web:dev"),
			"k8s/base/kustomization.yaml": "resources: [web.yaml]\nconfigMapGenerator:\n  - name: c\n    " +
				"literals: [A=1]\n",
			"k8s/overlays/dev/kustomization.yaml": "resources: [../../base]\nconfigMapGenerator:\n  - {name: c, " +
				"behavior: merge, literals: [A=2]}\n",
			"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\nconfigMapGenerator:\n  - {name: c, " +
				"behavior: merge, literals: [A=3]}\n" + prod,
		}
		for i := 0; i+1 < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		return files
	}
	const at = "k8s/overlays/prod/kustomization.yaml:"
	chart := []string{"chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"chart/values.yaml", "count: 1\n",
		"chart/templates/d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {A: '{{ " +
			".Values.count }}'}\n"}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a default that every overlay changes": {base(""), ""},
		"an image by its whole name": {base(
			"images:\n  - name: reg.localhost:5000/web\n    newTag: v1\n"), ""},
		"an image with the tag that it has": {base(
			"images:\n  - name: reg.localhost:5000/web\n    newTag: dev\n"), ""},
		"an image without its registry": {base("images:\n  - name: web # ours\n    newTag: v1\n"),
			"image-unmatched " + at + "5:5 prod images[0] \"web\" matches no image, so the base's image runs " +
				"(images: reg.localhost:5000/web)\n"},
		"an image in a field of its own": {base("images:\n  - {name: ghcr.io/acme/run, newTag: v1}\n",
			"k8s/base/web.yaml", deployment+"---\napiVersion: acme.io/v1\nkind: Pool\nmetadata: {name: p}\n"+
				"spec: {jobs: [{name: a, runner: 'ghcr.io/acme/run:v0'}]}\n"),
			"image-unmatched " + at + "5:5 prod images[0] \"ghcr.io/acme/run\" matches no container: the image is " +
				"spec.jobs[name=a].runner of Pool p, where Kustomize looks for none, so the base's image runs\n"},
		"one of a base that two layers hide, each by itself": {base("",
			"k8s/live/kustomization.yaml", "resources: [../base]\nreplicas: [{name: web, count: 5}]\n",
			"k8s/eu/kustomization.yaml", "resources: [../live]\nreplicas: [{name: web, count: 6}]\n",
			at[:len(at)-1], "resources: [../../eu]\nreplicas: [{name: web, count: 7}]\n",
			"k8s/overlays/dev/kustomization.yaml", "resources: [../../base]\n"), ""},
		"replicas for nothing": {base("replicas:\n  - {name: wbe, count: 2}\n"), "render"},
		"a value that a template reads": {base("", append(chart, "values-prod.yaml", "count: 2\n")...),
			""},
		"a value that no template has a word of": {base("", append(chart, "values-prod.yaml", "counts: 2\n")...),
			"value-unread values-prod.yaml:1:1 chart-prod no template of the chart reads counts: the chart's " +
				"default stays\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := checkFolder(t, []group{{all: overrides}}, c.files)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(r); got != c.want && (c.want != "render" || !strings.HasPrefix(got, "render ")) {
				t.Errorf("got %s", got)
			}
			for _, f := range r.Findings {
				if f.Rule != string(imageUnmatched) {
					continue
				}
				if strings.Contains(f.Message, "Pool") {
					want := "Add a file under `configurations` with `images: [{path: spec/jobs/runner, kind: Pool}]`."
					if f.Fix != want || f.Edits != nil {
						t.Errorf("fix %s, edits %+v", f.Fix, f.Edits)
					}
					continue
				}
				text := c.files["k8s/overlays/prod/kustomization.yaml"]
				if len(f.Edits) != 1 || text[f.Edits[0].Start:f.Edits[0].End] != "web" ||
					f.Edits[0].New != "reg.localhost:5000/web" {
					t.Errorf("edits %+v", f.Edits)
				}
			}
		})
	}
}

// What an overlay sets is mended in the overlay: at the entry, or in the patch's own file.
func TestPlacesOfOverrides(t *testing.T) {
	r, err := checkFolder(t, toyGroups, map[string]string{
		"k8s/base/web.yaml":                   deployment,
		"k8s/base/kustomization.yaml":         "resources: [web.yaml]\n",
		"k8s/overlays/dev/kustomization.yaml": "resources: [../../base]\nreplicas:\n  - {name: web, count: 4}\n",
		"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\npatches:\n  - path: " +
			"more.yaml\nimages:\n  - {name: x, newTag: v1}\n",
		"k8s/overlays/prod/more.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " +
			"web}\nspec:\n  replicas: 3\n",
		"k8s/overlays/staging/kustomization.yaml": "resources: [../../base]\n",
	})
	want := "replicas k8s/base/web.yaml:9:3 staging web has 1\nreplicas " +
		"k8s/overlays/dev/kustomization.yaml:3:5 dev web has 4\nreplicas k8s/overlays/prod/more.yaml:5:3 prod " +
		"web has 3\nonly-prod k8s/base/web.yaml:15:11 prod x\n"
	if err != nil || lines(r) != want {
		t.Errorf("%v\n%s", err, lines(r))
	}
}
