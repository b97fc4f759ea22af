package origin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// The overlay puts a container before the base's, and repeats one of its values.
var sidecar = map[string]string{
	"base/kustomization.yaml": "resources: [app.yaml, net.yaml]\n",
	"base/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  minReadySeconds: 4
  template:
    spec:
      containers:
      - name: cart
        image: example.com/cart:7
        args: [serve, --slow]
`,
	"base/net.yaml": `apiVersion: v1
kind: Service
metadata: {name: cart}
spec:
  ports:
  - {port: 80, protocol: TCP, targetPort: 1}
  - {port: 443, protocol: TCP, targetPort: 2}
`,
	"live/kustomization.yaml": `resources: [../base]
images:
- {name: example.com/cart, newTag: "8"}
labels:
- pairs: {team: shop}
patches:
- path: app.yaml
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/template/spec/containers/0
      value: {name: proxy, image: example.com/proxy:1}
- target: {kind: Service}
  patch: |-
    - op: replace
      path: /spec/ports/1/targetPort
      value: 3
`,
	"live/app.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec: {minReadySeconds: 4}
`,
}

func why(t *testing.T, r *render.Renderer, asked, field string) (Chain, string) {
	t.Helper()
	env := project.Environment{Name: "live", Paths: []string{"live"}}
	c, err := Why(t.Context(), r, env, Question{asked, field}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, l := range c.Links {
		text += fmt.Sprintf("\n%s %s %v %v", l.Place, l.Override, l.Value, l.Lost)
	}
	return c, text
}

func sidecarProject(t *testing.T) *render.Renderer {
	t.Helper()
	r, err := render.Open(foldertest.Of(t, sidecar), render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// All spellings that select a value have the same answer.
func TestWhySpellings(t *testing.T) {
	r := sidecarProject(t)
	const containers = "spec.template.spec.containers"
	for _, test := range []struct {
		object, field string
		others        []string
		last          string
	}{
		{"Deployment/cart", containers + "[name=cart].image", []string{containers + "[1].image",
			"." + containers + "[1].image", `["spec"].template.spec.containers[1]["image"]`},
			`images[0] "example.com/cart"`},
		{"Deployment/cart", containers + "[name=cart].args[1]", []string{containers + "[1].args[1]"}, ""},
		{"Deployment/cart", containers + "[name=proxy].image", []string{containers + "[0].image"},
			"patches[1] on Deployment"},
		{"Deployment/cart", "spec.minReadySeconds", []string{".spec.minReadySeconds"}, `patches[0] "app.yaml"`},
		{"Service/cart", "spec.ports[port=443,protocol=TCP].targetPort", []string{
			"spec.ports[1].targetPort", "spec.ports[port=443].targetPort", ".spec.ports[targetPort=3].targetPort"},
			"patches[2] on Service"},
	} {
		want, text := why(t, r, test.object, test.field)
		if last := want.Links[len(want.Links)-1]; last.Override != test.last {
			t.Errorf("%s: %s decides: %s", test.field, last.Override, text)
		}
		for _, field := range test.others {
			got, _ := why(t, r, test.object, field)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", field, diff)
			}
		}
	}
	for _, field := range []string{containers + "[2].image", containers + "[-1].image", "spec.ports[port=443]"} {
		env := project.Environment{Name: "live", Paths: []string{"live"}}
		_, err := Why(t.Context(), r, env, Question{"Deployment/cart", field}, Options{})
		if missing := new(NoFieldError); !errors.As(err, &missing) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// An override that repeats the base's value is the one that decides, of the field and of all that contains
// it.
func TestWhyOfWholeObject(t *testing.T) {
	r := sidecarProject(t)
	for _, field := range []string{"spec.minReadySeconds", "spec", ""} {
		c, text := why(t, r, "Deployment/cart", field)
		decides := false
		for _, l := range c.Links {
			decides = decides || l.Override == `patches[0] "app.yaml"` && !l.Lost
		}
		if !decides {
			t.Errorf("%q: the patch does not decide: %s", field, text)
		}
	}
}

// A patch that changes the key of an element, or the kind of an object, does not decide what is beside it.
func TestWhyBesideAChangedKey(t *testing.T) {
	r, err := render.Open(foldertest.Of(t, map[string]string{
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml": `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door}
spec:
  rules:
  - host: old.example
    http: {paths: [{path: /, backend: {service: {name: door}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec: {paused: true, replicas: 2}
`,
		"live/kustomization.yaml": `resources: [../base]
patches:
- target: {kind: Ingress}
  patch: '[{"op": "replace", "path": "/spec/rules/0/host", "value": "new.example"}]'
- target: {kind: Deployment}
  patch: '[{"op": "replace", "path": "/kind", "value": "StatefulSet"}]'
replicas: [{name: cart, count: 3}]
`,
	}), render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct{ object, field, want string }{
		{"ing/door", "spec.rules[host=new.example].http.paths[0].backend.service.name",
			"\nbase/all.yaml:7:50  door false"},
		{"ing/door", "spec.rules[0].host", "\nbase/all.yaml:6:5  old.example true" +
			"\nlive/kustomization.yaml:3:3 patches[0] on Ingress new.example false"},
		{"sts/cart", "spec.paused", "\nbase/all.yaml:12:8  true false"},
		{"sts/cart", "kind", "\nbase/all.yaml:10:1  Deployment true" +
			"\nlive/kustomization.yaml:5:3 patches[1] on Deployment StatefulSet false"},
	} {
		if _, text := why(t, r, c.object, c.field); text != c.want {
			t.Errorf("%s %s: %s", c.object, c.field, text)
		}
	}
}
