package origin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

var shop = map[string]string{
	"base/kustomization.yaml": "resources: [app.yaml]\n",
	"base/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: shop
        image: k3d-registry.localhost:5000/shop:dev
`,
	"mid/kustomization.yaml": `resources: [../base]
images:
- name: k3d-registry.localhost:5000/shop
  newTag: "1"
replicas:
- name: shop
  count: 2
`,
	"prod/kustomization.yaml": `resources: [../mid]
namePrefix: prod-
labels:
- pairs:
    tier: web
    env: prod
images:
- name: shop
  newName: ghcr.io/acme/shop
- name: k3d-registry.localhost:5000/shop
  newName: ghcr.io/acme/shop
  newTag: "2"
replicas:
- name: shop
  count: 2
patches:
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/paused
      value: true
    - op: replace
      path: /spec/paused
      value: true
- target: {kind: StatefulSet}
  patch: |-
    - op: add
      path: /spec/paused
      value: true
configMapGenerator:
- name: settings
  literals:
  - LOG=info
  - MODE=a
`,
	"component/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/minReadySeconds", "value": 5}]'
`,
	"extra/kustomization.yaml": `resources: [../base]
components: [../component]
namespace: shop
commonAnnotations: {owner: team}
nameSuffix: -b
replacements:
- source: {kind: Deployment, name: shop, fieldPath: spec.replicas}
  targets:
  - select: {kind: Deployment}
    fieldPaths: [spec.revisionHistoryLimit]
    options: {create: true}
- source: {kind: Deployment, name: shop, fieldPath: spec.replicas}
  targets:
  - select: {kind: StatefulSet}
    fieldPaths: [spec.replicas]
`,
	"chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
	"chart/values.yaml": "image: {repository: local/shop, tag: dev}\nreplicaCount: 1\ningress: {enabled: " +
		"false, host: a}\n",
	"chart/templates/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicaCount }}
  template:
    spec:
      containers:
      - name: shop
        image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
        {{ if .Values.ingress.enabled }}args: [{{ .Values.ingress.host }}]
        resources: {{ toYaml .Values.resources }}{{ end }}
`,
	"inflated/kustomization.yaml": "helmGlobals: {chartHome: ..}\nhelmCharts:\n- name: chart\n  releaseName: " +
		"shop\n  valuesFile: own.yaml\n",
	"inflated/own.yaml": "replicaCount: 4\n",
	"skaffold.yaml": `apiVersion: skaffold/v4beta11
kind: Config
manifests:
  helm:
    releases:
    - name: shop
      chartPath: chart
      valuesFiles: [values-extra.yaml]
      setValues:
        image.repository: ghcr.io/acme/third
        replicaCount: 2
profiles:
- name: prod
  patches:
  - {op: replace, path: /manifests/helm/releases/0/setValues/replicaCount, value: 5}
`,
	"values-prod.yaml": "image:\n  repository: ghcr.io/acme/shop\nreplicaCount: 1\nreplicaCuont: 3\ningress: " +
		"{host: b, hots: c}\nresources: {limits: {memory: 1Gi}}\nvalues: 1\n",
	"values-extra.yaml": "image: {repository: ghcr.io/acme/other}\n",
}

func open(t *testing.T) (*render.Renderer, project.Environment, project.Environment) {
	t.Helper()
	r, err := render.Open(foldertest.Of(t, shop), render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, project.Environment{Name: "prod", Paths: []string{"prod"}},
		project.Environment{Name: "chart", Namespace: "n",
			Charts: []project.Chart{{
				Path: "chart", Release: "shop", Values: []string{"values-prod.yaml", "values-extra.yaml"},
			}}}
}

func TestDead(t *testing.T) {
	r, prod, chart := open(t)
	for _, test := range []struct {
		env  project.Environment
		want string
	}{
		{prod, `
mid/kustomization.yaml:3:3: images[0] "k3d-registry.localhost:5000/shop" | by prod/kustomization.yaml:10:3: images[1] "k3d-registry.localhost:5000/shop" | meant 
mid/kustomization.yaml:6:3: replicas[0] "shop" | by prod/kustomization.yaml:14:3: replicas[0] "shop" | meant 
prod/kustomization.yaml:8:3: images[0] "shop" | by  | meant k3d-registry.localhost:5000/shop
prod/kustomization.yaml:19: patches[0] on Deployment: add /spec/paused | by prod/kustomization.yaml:22: patches[0] on Deployment: replace /spec/paused | meant 
prod/kustomization.yaml:25:3: patches[1] on StatefulSet | by  | meant `},
		{chart, `
values-prod.yaml:2:3: image.repository | by values-extra.yaml:1:9: image.repository | meant 
values-prod.yaml:4:1: replicaCuont | by  | meant replicaCount
values-prod.yaml:5:20: ingress.hots | by  | meant ingress.host
values-prod.yaml:7:1: values | by  | meant `},
		{project.Environment{Name: "extra", Paths: []string{"extra"}}, `
extra/kustomization.yaml:12:3: replacements[1] | by  | meant `},
		{project.Environment{Name: "skaffold", Skaffold: &project.Skaffold{File: "skaffold.yaml"}}, `
values-extra.yaml:1:9: image.repository | by skaffold.yaml:10:9: image.repository | meant `},
	} {
		t.Run(test.env.Name, func(t *testing.T) {
			report, err := Analyze(t.Context(), r, test.env, Options{})
			if err != nil {
				t.Fatal(err)
			}
			idle, _, err := report.Idle(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			dead, _, err := report.Explain(t.Context(), idle)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, d := range dead {
				by := ""
				if d.By != nil {
					by = d.By.String()
				}
				fmt.Fprintf(&got, "\n%s | by %s | meant %s", d.Override, by, d.Meant)
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each document of a patch file, or of a patch in the kustomization, is an override of its own.
func TestDocumentsOfPatches(t *testing.T) {
	const app = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\n" +
		"spec: {replicas: 1, paused: false}\n"
	object := func(name string) string { return strings.ReplaceAll(app, "NAME", name) }
	r, err := render.Open(foldertest.Of(t, map[string]string{
		"base/kustomization.yaml": "resources: [a.yaml, b.yaml, c.yaml]\n",
		"base/a.yaml":             object("a"), "base/b.yaml": object("b"), "base/c.yaml": object("c"),
		"live/kustomization.yaml": `resources: [../base]
patches:
- path: sizes.yaml
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: b}
    spec: {paused: true}
    ---
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: c}
    spec: {replicas: 8}
replicas:
- {name: c, count: 9}
`,
		"live/sizes.yaml": strings.ReplaceAll(object("a"), "1,", "2,") + "---\n# nothing\n---\n" +
			strings.ReplaceAll(object("c"), "1,", "3,") + "---\n" + strings.ReplaceAll(object("b"), "1,", "4,"),
	}), render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	env := project.Environment{Name: "live", Paths: []string{"live"}}
	report, err := Analyze(t.Context(), r, env, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range report.Effects {
		got += fmt.Sprintf("%s %d\n", e.Override, len(e.Changes))
	}
	idle, _, err := report.Idle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dead, _, err := report.Explain(t.Context(), idle)
	for _, d := range dead {
		got += fmt.Sprintf("dead: %s by %s\n", d.Override, d.By)
	}
	want := `live/sizes.yaml:1:1: patches[0] "sizes.yaml": Deployment/a 1
live/sizes.yaml:8:1: patches[0] "sizes.yaml": Deployment/c 0
live/sizes.yaml:13:1: patches[0] "sizes.yaml": Deployment/b 1
live/kustomization.yaml:5: patches[1]: Deployment/b 1
live/kustomization.yaml:10: patches[1]: Deployment/c 0
live/kustomization.yaml:15:3: replicas[0] "c" 1
dead: live/kustomization.yaml:10: patches[1]: Deployment/c by live/kustomization.yaml:15:3: replicas[0] "c"
`
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Overrides that the time limit leaves out are listed and never called dead.
func TestNotTried(t *testing.T) {
	r, prod, chart := open(t)
	for _, env := range []project.Environment{prod, chart} {
		whole, err := Analyze(t.Context(), r, env, Options{})
		if err != nil {
			t.Fatal(err)
		}
		short, err := Analyze(t.Context(), r, env, Options{Budget: 1})
		if err != nil {
			t.Fatal(err)
		}
		want, got := map[string]bool{}, map[string]bool{}
		for _, e := range whole.Effects {
			want[e.Override.String()] = true
		}
		for _, o := range short.NotTried {
			got[o.String()] = true
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%s: not tried: %s", env.Name, diff)
		}
		if idle, _, err := short.Idle(t.Context()); err != nil || len(idle) > 0 {
			t.Errorf("%s: called dead: %v, %v", env.Name, idle, err)
		}
	}
}

func TestWhy(t *testing.T) {
	r, prod, chart := open(t)
	extra := project.Environment{Name: "extra", Paths: []string{"extra"}}
	flags := chart
	flags.Name, flags.Charts = "flags", []project.Chart{chart.Charts[0]}
	flags.Charts[0].Line, flags.Charts[0].SetString, flags.Charts[0].Set = 7, []string{"replicaCount=3"},
		[]string{"replicaCount=2"}
	for _, test := range []struct {
		env         project.Environment
		field, want string
	}{
		{prod, "spec.template.spec.containers[name=shop].image", `
base/app.yaml:10:9 k3d-registry.localhost:5000/shop:dev
mid/kustomization.yaml:3:3: images[0] "k3d-registry.localhost:5000/shop" k3d-registry.localhost:5000/shop:1 lost
prod/kustomization.yaml:10:3: images[1] "k3d-registry.localhost:5000/shop" ghcr.io/acme/shop:2`},
		{prod, "spec.replicas", `
base/app.yaml:5:3 1
mid/kustomization.yaml:6:3: replicas[0] "shop" 2 lost
prod/kustomization.yaml:14:3: replicas[0] "shop" 2`},
		{prod, "metadata.name", `
base/app.yaml:3:12 shop
prod/kustomization.yaml:2:13: namePrefix prod-shop`},
		{prod, "metadata.labels.env", `
base/app.yaml:3:1 <nil>
prod/kustomization.yaml:6:10: labels[0].pairs.env prod`},
		{extra, "metadata.namespace", `
base/app.yaml:3:1 <nil>
extra/kustomization.yaml:3:12: namespace shop`},
		{extra, "metadata.annotations.owner", `
base/app.yaml:3:1 <nil>
extra/kustomization.yaml:4:28: commonAnnotations.owner team`},
		{extra, "metadata.name", `
base/app.yaml:3:12 shop
extra/kustomization.yaml:5:13: nameSuffix shop-b`},
		{extra, "spec.revisionHistoryLimit", `
base/app.yaml:4:1 <nil>
extra/kustomization.yaml:7:3: replacements[0] 1`},
		{extra, "spec.minReadySeconds", `
base/app.yaml:4:1 <nil>
component/kustomization.yaml:4:3: patches[0] on Deployment 5
extra/kustomization.yaml:2:14: components[0] "../component" 5`},
		{chart, "spec.template.spec.containers[name=shop].image", `
chart/templates/app.yaml:10:9 :dev
chart/values.yaml:1:9: image.repository local/shop:dev lost
values-prod.yaml:2:3: image.repository ghcr.io/acme/shop:dev lost
values-extra.yaml:1:9: image.repository ghcr.io/acme/other:dev
chart/values.yaml:1:33: image.tag ghcr.io/acme/other:dev`},
		{project.Environment{Name: "inflated", Paths: []string{"inflated"}}, "spec.replicas", `
chart/templates/app.yaml:5:3 1
inflated/own.yaml:1:1: replicaCount 4`},
		{flags, "spec.replicas", `
chart/templates/app.yaml:5:3 <nil>
chart/values.yaml:2:1: replicaCount 1 lost
values-prod.yaml:3:1: replicaCount 1 lost
slipway.yaml:7: replicaCount 2 lost
slipway.yaml:7: replicaCount 3`},
	} {
		t.Run(test.env.Name+" "+test.field, func(t *testing.T) {
			c, err := Why(t.Context(), r, test.env, Question{"Deployment/shop", test.field}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, l := range c.Links {
				got += "\n" + l.Place.String()
				if l.Override != "" {
					got += ": " + l.Override
				}
				got += fmt.Sprintf(" %v", l.Value)
				if l.Lost && l.Override != "" {
					got += " lost"
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
