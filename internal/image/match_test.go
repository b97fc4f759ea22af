package image

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
	"slipway/internal/project"
)

func TestCalls(t *testing.T) {
	for _, c := range []struct {
		name, repository string
		want             bool
	}{
		{"myapp", "myapp", true},
		{"myapp", "k3d-registry.localhost:5000/myapp", true},
		{"myapp", "ghcr.io/acme/myapp", true},
		{"acme/myapp", "ghcr.io/acme/myapp", true},
		{"ghcr.io/acme/myapp", "ghcr.io/acme/myapp", true},
		{"ghcr.io/acme/myapp", "acme/myapp", true},
		{"ghcr.io/acme/myapp", "quay.io/acme/myapp", false},
		{"ghcr.io/acme/myapp", "myapp", false},
		{"acme/myapp", "myapp", false},
		{"acme/myapp", "ghcr.io/other/myapp", false},
		{"myapp", "ghcr.io/acme/myapp-worker", false},
		{"app", "ghcr.io/acme/myapp", false},
	} {
		if got := calls(c.name, c.repository) > 0; got != c.want {
			t.Errorf("%s calls %s: %v", c.name, c.repository, got)
		}
	}
}

// objects reads one YAML list.
func objects(t *testing.T, text string) object.Set {
	t.Helper()
	var bodies []map[string]any
	if err := yaml.Unmarshal([]byte(text), &bodies); err != nil {
		t.Fatal(err)
	}
	var set object.Set
	for _, b := range bodies {
		if err := set.Add(object.Object{Body: b}); err != nil {
			t.Fatal(err)
		}
	}
	return set
}

const everywhere = `
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec:
    template:
      spec:
        initContainers: [{name: migrate, image: "reg.localhost:5000/myapp"}]
        containers:
        - {name: web, image: "reg.localhost:5000/myapp:dev", env: [{name: image, value: myapp}]}
        - {name: proxy, image: envoy:1.30}
        ephemeralContainers: [{name: debug, image: busybox}]
        volumes:
        - {name: assets, image: {reference: "reg.localhost:5000/assets:dev"}}
        - {name: config, configMap: {name: web}}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: tidy}
  spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: tidy, image: "reg.localhost:5000/myapp:dev"}]}}}}}
- apiVersion: example.org/v1
  kind: Fleet
  metadata: {name: custom}
  spec: {members: [{pod: {containers: [{name: c, image: redis:latest}, {name: unfilled}]}}]}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: web}
  data: {image: "reg.localhost:5000/myapp:dev", containers: myapp}
`

func TestMatch(t *testing.T) {
	got, err := Match([]project.Image{{Name: "myapp"}, {Name: "assets"}, {Name: "tools", Detected: true}},
		objects(t, everywhere))
	if err != nil {
		t.Fatal(err)
	}
	web := object.Ref{Group: "apps", Kind: "Deployment", Name: "web"}
	tidy := object.Ref{Group: "batch", Kind: "CronJob", Name: "tidy"}
	want := []Matched{
		{Image: project.Image{Name: "myapp"}, Repository: "reg.localhost:5000/myapp", Uses: []Use{
			{web, "migrate", "reg.localhost:5000/myapp"},
			{web, "web", "reg.localhost:5000/myapp:dev"},
			{tidy, "tidy", "reg.localhost:5000/myapp:dev"},
		}},
		{Image: project.Image{Name: "assets"}, Repository: "reg.localhost:5000/assets", Tag: "dev", Uses: []Use{
			{web, "assets", "reg.localhost:5000/assets:dev"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

func TestMatchNothing(t *testing.T) {
	_, err := Match([]project.Image{{Name: "acme/wep"}}, objects(t, everywhere))
	want := &NoMatchError{Image: "acme/wep", Candidates: []string{"reg.localhost:5000/myapp", "envoy", "busybox",
		"reg.localhost:5000/assets", "redis"}}
	got := (*NoMatchError)(nil)
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

func TestMatchSeveral(t *testing.T) {
	pod := func(first, second string) object.Set {
		return objects(t, `[{kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: "`+first+
			`"}, {name: b, image: "`+second+`"}]}}]`)
	}
	for name, c := range map[string]struct {
		images        []string
		first, second string
		want          []string // repositories
		ambiguous     bool
	}{
		"two registries": {images: []string{"myapp"}, first: "a.io/myapp:dev", second: "b.io/myapp:dev",
			ambiguous: true},
		"two digests": {images: []string{"myapp"}, first: "a.io/myapp@sha256:aa",
			second: "a.io/myapp@sha256:bb", ambiguous: true},
		"stated and not": {images: []string{"myapp"}, first: "a.io/myapp:v1.0.0", second: "a.io/myapp:dev",
			ambiguous: true},
		"two moving tags": {images: []string{"myapp"}, first: "a.io/myapp:dev", second: "a.io/myapp",
			want: []string{"a.io/myapp"}},
		"longest name decides": {images: []string{"api", "admin/api"}, first: "a.io/api", second: "a.io/admin/api",
			want: []string{"a.io/api", "a.io/admin/api"}},
	} {
		t.Run(name, func(t *testing.T) {
			var images []project.Image
			for _, n := range c.images {
				images = append(images, project.Image{Name: n})
			}
			got, err := Match(images, pod(c.first, c.second))
			if e := (*AmbiguousError)(nil); errors.As(err, &e) != c.ambiguous {
				t.Fatal(err)
			}
			var repositories []string
			for _, m := range got {
				repositories = append(repositories, m.Repository)
			}
			if diff := cmp.Diff(c.want, repositories); diff != "" {
				t.Error("(-want +got):\n", diff)
			}
		})
	}
}

func TestPut(t *testing.T) {
	before := objects(t, everywhere)
	digest := before.Digest()
	got, err := Put(before, []Pin{
		{Name: "myapp", Repository: "ghcr.io/acme/myapp", Tag: "sha-3f9c2e1", Digest: "sha256:aa"},
		{Name: "assets", Repository: "ghcr.io/acme/assets", Tag: "sha-3f9c2e1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, u := range Uses(got) {
		refs = append(refs, u.Container+" "+u.Reference)
	}
	want := []string{
		"migrate ghcr.io/acme/myapp:sha-3f9c2e1@sha256:aa",
		"web ghcr.io/acme/myapp:sha-3f9c2e1@sha256:aa",
		"proxy envoy:1.30",
		"debug busybox",
		"assets ghcr.io/acme/assets:sha-3f9c2e1",
		"tidy ghcr.io/acme/myapp:sha-3f9c2e1@sha256:aa",
		"c redis:latest",
	}
	if diff := cmp.Diff(want, refs); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if before.Digest() != digest {
		t.Error("the set that was given has changed")
	}
	cm := object.Ref{Kind: "ConfigMap", Name: "web"}
	a, _ := before.Get(cm)
	b, _ := got.Get(cm)
	if diff := cmp.Diff(a.Body, b.Body); diff != "" {
		t.Error("an object without images changed:\n", diff)
	}
}

func TestIn(t *testing.T) {
	env := project.Environment{Registry: "ghcr.io/acme/"}
	for repository, want := range map[string]string{
		"myapp":             "ghcr.io/acme/myapp",
		"quay.io/acme/app":  "quay.io/acme/app",
		"localhost/app":     "localhost/app",
		"team/app":          "ghcr.io/acme/team/app",
		"localhost:5000/ap": "localhost:5000/ap",
	} {
		if got := (Matched{Repository: repository}).In(env); got != want {
			t.Errorf("%s is in %s, want %s", repository, got, want)
		}
	}
}
