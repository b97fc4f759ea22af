package render

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/foldertest"
)

func render(t *testing.T, dir, path string) (Result, error) {
	t.Helper()
	return Render(t.Context(), project.Project{Dir: dir}, project.Environment{Name: "env",
		Paths: []string{path}}, Options{})
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

// origins lists the objects with their origins.
func origins(r Result) []string {
	var lines []string
	for _, o := range r.Set.Objects() {
		lines = append(lines, fmt.Sprintf("%s < %s", o.Ref(), o.Origin))
	}
	return lines
}

func TestPlainFolder(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{
		"k8s/b.yaml": configMap("b1") + "---\n" + configMap("b2"), "k8s/a.yml": configMap("a"),
		"k8s/c.json":     `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`,
		"k8s/sub/d.yaml": configMap("d"), "k8s/.hidden/e.yaml": configMap("e"), "k8s/README.md": "#",
		"k8s/.f.yaml":                configMap("f"),
		"k8s/own/kustomization.yaml": "resources: [x.yaml]", "k8s/chart/Chart.yaml": "name: x",
		"k8s/link.yaml": "-> ../other/g.yaml", "other/g.yaml": configMap("g"),
		"k8s/round": "-> ../k8s",
	})
	r, err := render(t, dir, "k8s")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ConfigMap a < k8s/a.yml:1", "ConfigMap b1 < k8s/b.yaml:1", "ConfigMap b2 < k8s/b.yaml:6",
		"ConfigMap c < k8s/c.json:1", "ConfigMap g < k8s/link.yaml:1", "ConfigMap d < k8s/sub/d.yaml:1",
	}
	if diff := cmp.Diff(want, origins(r)); diff != "" {
		t.Error(diff)
	}
	wantWarnings := []string{
		"k8s/chart is skipped: it is a Helm chart", "k8s/own is skipped: it has its own kustomization",
		"k8s/round is skipped: it is a link to a directory",
	}
	if diff := cmp.Diff(wantWarnings, r.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestWarnings(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{
		"base/kustomization.yaml":         "resources: [a.yaml]\n",
		"base/a.yaml":                     configMap("a"),
		"overlays/prod/kustomization.yml": "bases:\n- ../../base\ncommonLabels:\n  env: prod\n",
	})
	r, err := render(t, dir, "overlays/prod")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"overlays/prod/kustomization.yml:1: bases is deprecated: use resources",
		"overlays/prod/kustomization.yml:3: commonLabels is deprecated: it also writes selectors, which cannot " +
			"change later: use labels with includeSelectors: false",
	}
	if diff := cmp.Diff(want, r.Remarks()); diff != "" || len(r.Warnings) > 0 {
		t.Error(diff, r.Warnings)
	}
}

func TestRenderTwiceIsEqual(t *testing.T) {
	var texts [2]strings.Builder
	for i := range texts {
		for _, env := range []string{"dev", "staging", "prod"} {
			r, err := render(t, "../../examples/myapp", "k8s/overlays/"+env)
			if err != nil {
				t.Fatal(err)
			}
			if err := object.WriteYAML(&texts[i], r.Set.Objects()); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&texts[i], origins(r))
		}
	}
	if diff := cmp.Diff(texts[0].String(), texts[1].String()); diff != "" {
		t.Error(diff)
	}
}

func TestRenderSideBySide(t *testing.T) {
	custom := foldertest.Of(t, map[string]string{
		"k/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\n",
		"k/a.yaml":             configMap("a"), "k/schema.json": `{"definitions": {}}`,
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			dir, path := "../../examples/myapp", "k8s/overlays/prod"
			if i%4 == 0 {
				dir, path = custom, "k"
			}
			if _, err := render(t, dir, path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRenderStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"k8s/overlays/dev", "k8s/base"} {
		if _, err := Render(ctx, project.Project{Dir: "../../examples/myapp"}, project.Environment{Name: "dev",
			Paths: []string{path}}, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// An environment refuses objects of charts that cannot be identified.
func TestIncompleteObjects(t *testing.T) {
	for text, want := range map[string]string{
		"kind: ConfigMap\napiVersion: v1\n": "ConfigMap without metadata.name",
		"kind: Job\napiVersion: batch/v1\nmetadata: {generateName: again-}\n": "Job has generateName, which only a " +
			"hook may have, because it cannot be deployed again: give it a metadata.name",
		"kind: Secret\napiVersion: v1\nmetadata: {name: a}\nstringData: {number: 1}\n": "Secret a: stringData.number must be a string: write it in quotes",
		configMap("a") + "---\n" +
			configMap("a"): "ConfigMap a is defined twice: chart/templates/a.yaml and chart/templates/a.yaml",
	} {
		dir := foldertest.Of(
			t, map[string]string{"chart/Chart.yaml": "{apiVersion: v2, name: chart, version: 1.0.0}",
				"chart/templates/a.yaml": text})
		env := project.Environment{Name: "dev", Namespace: "dev",
			Charts: []project.Chart{{Path: "chart", Release: "a"}}}
		_, err := Render(t.Context(), project.Project{Dir: dir}, env, Options{})
		if err == nil || !strings.HasSuffix(err.Error(), want) || !strings.Contains(err.Error(),
			"chart/templates/a.yaml") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Environments that share files cost one parse of each: the base is read once for all three.
func TestStats(t *testing.T) {
	p, err := project.Open("../../examples/myapp")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(p.Dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, env := range p.Environments {
		if _, err := r.Render(t.Context(), env); err != nil {
			t.Fatal(err)
		}
	}
	got := r.Stats()
	if got.Renders != len(p.Environments) || got.Files == 0 || got.Reads != got.Files {
		t.Errorf("%d environments took %+v", len(p.Environments), got)
	}
}

// Services that are rendered side by side may each bring an object that they share; two that differ are an
// error.
func TestSeveralPathsShareAnObject(t *testing.T) {
	files := map[string]string{
		"account/a.yaml":             configMap("account"),
		"account/kustomization.yaml": "resources: [a.yaml]\n",
		"api/kustomization.yaml":     "resources: [../account, api.yaml]\n",
		"api/api.yaml":               configMap("api"),
		"web/kustomization.yaml":     "resources: [../account, web.yaml]\n",
		"web/web.yaml":               configMap("web"),
		"other/account.yaml":         configMap("account") + "data: {a: b}\n",
		"skaffold.yaml": "apiVersion: skaffold/v4beta1\nkind: Config\nrequires:\n" +
			"- {path: one}\n- {path: two}\n",
		"one/skaffold.yaml": "apiVersion: skaffold/v4beta1\nkind: Config\n" +
			"manifests: {kustomize: {paths: [../api]}}\n",
		"two/skaffold.yaml": "apiVersion: skaffold/v4beta1\nkind: Config\n" +
			"manifests: {kustomize: {paths: [../web]}}\n",
	}
	p := project.Project{Dir: foldertest.Of(t, files)}
	for _, env := range []project.Environment{{Paths: []string{"api", "web"}},
		{Skaffold: &project.Skaffold{File: "skaffold.yaml"}}} {
		r, err := Render(t.Context(), p, env, Options{})
		if err != nil || r.Set.Len() != 3 {
			t.Errorf("%v %v", origins(r), err)
		}
	}
	_, err := Render(t.Context(), p, project.Environment{Paths: []string{"api", "other"}}, Options{})
	if want := "ConfigMap account is defined twice: account/a.yaml:1 and other/account.yaml:1"; err == nil ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
