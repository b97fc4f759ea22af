package project

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/render/foldertest"
)

const manifest = "apiVersion: v1\nkind: ConfigMap\n"

// texts are those of files that are more than a manifest.
var texts = map[string]string{
	"k8s/a.json":               `{"apiVersion": "v1", "kind": "ConfigMap"}`,
	"k8s/flow.yaml":            "# none\n{apiVersion: v1,\n  'kind' : ConfigMap}\n",
	"chart/staging.yaml":       "replicas: 2\n",
	"prod.yaml":                "replicas: 2\n",
	"environments/eu.yaml":     "replicas: 2\n",
	"charts/web_ui/dev.yaml":   "replicas: 2\n",
	"chart/values/prod.yaml":   "replicas: 2\n",
	"chart/values/common.yaml": "replicas: 2\n",
	"charts/lib/Chart.yaml":    "name: lib\ntype: library\n",
	"skaffold.yml":             "kind: Config\nprofiles: {\n",
	"skaffold.yaml": "kind: Config\nprofiles:\n- name: gcb\n- name: not a name\n---\nprofiles: " +
		"[{name: Prod}, {name: gcb}, {name: default}]\n",
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"base and overlays": {[]string{"k8s/base/kustomization.yaml", "k8s/overlays/dev/kustomization.yaml",
			"k8s/overlays/prod/kustomization.yml"}, []string{"dev local k8s/overlays/dev",
			"prod production k8s/overlays/prod"}},
		"overlays at the root": {[]string{"base/a.yaml", "overlays/qa/Kustomization"},
			[]string{"qa staging overlays/qa"}},
		"deploy": {[]string{"deploy/k8s/overlays/live/kustomization.yaml"},
			[]string{"live production deploy/k8s/overlays/live"}},
		"manifests": {[]string{"manifests/overlays/eu-west/kustomization.yaml",
			"manifests/overlays/readme/README.md"}, []string{"eu-west production manifests/overlays/eu-west"}},
		"copied folders": {[]string{"k8s-dev/a.yaml", "k8s-prod/a.yaml", "k8s-notes/x.txt"},
			[]string{"dev local k8s-dev", "prod production k8s-prod"}},
		"subfolders": {[]string{"k8s/dev/a.yaml", "k8s/staging/a.yaml", "k8s/crds/a.yaml"},
			[]string{"dev local k8s/dev", "staging staging k8s/staging"}},
		"one folder": {[]string{"k8s/a.yaml"}, []string{"default local k8s"}},
		"one chart": {[]string{"chart/Chart.yaml", "chart/values.yaml"},
			[]string{"default local chart chart"}},
		"chart at the root": {[]string{"Chart.yaml", "values-qa.yaml", "charts/dep/Chart.yaml"},
			[]string{"qa staging Chart.yaml with values-qa.yaml"}},
		"values in the chart": {[]string{"helm/Chart.yaml", "helm/values.yaml", "helm/values-dev.yaml",
			"helm/values.prod.yml", "helm/values.schema.json", "helm/values-Moon.yaml"},
			[]string{"dev local chart helm with helm/values-dev.yaml",
				"prod production chart helm with helm/values.prod.yml"}},
		"values beside": {[]string{"deploy/chart/Chart.yaml", "deploy/values-dev.yaml", "values-dev.yaml",
			"values-live.yaml"}, []string{"dev local chart deploy/chart with deploy/values-dev.yaml",
			"live production chart deploy/chart with values-live.yaml"}},
		"names alone": {[]string{"chart/Chart.yaml", "chart/staging.yaml", "prod.yaml", "compose.yaml"},
			[]string{"staging staging chart chart with chart/staging.yaml",
				"prod production chart chart with prod.yaml"}},
		"a folder of values": {[]string{"chart/Chart.yaml", "environments/eu.yaml", "chart/values/prod.yaml",
			"chart/values/common.yaml"},
			[]string{"eu staging chart chart with chart/values/common.yaml, environments/eu.yaml",
				"prod production chart chart with chart/values/common.yaml, chart/values/prod.yaml"}},
		"several charts": {[]string{"charts/api/Chart.yaml", "charts/api/values-prod.yaml",
			"charts/web_ui/Chart.yaml", "charts/web_ui/dev.yaml"},
			[]string{"dev local chart charts/api and chart charts/web_ui with charts/web_ui/dev.yaml",
				"prod production chart charts/api with charts/api/values-prod.yaml and chart charts/web_ui"}},
		"skaffold": {[]string{"skaffold.yaml", "k8s/a.yaml", "chart/Chart.yaml"},
			[]string{"default local skaffold.yaml",
				"prod production skaffold.yaml with profile Prod"}},
		"broken skaffold": {[]string{"skaffold.yml"}, []string{"default local skaffold.yml"}},
		"overlays before": {[]string{"chart/Chart.yaml", "chart/values-dev.yaml",
			"overlays/dev/kustomization.yaml"}, []string{"dev local overlays/dev"}},
		"chart before": {[]string{"chart/Chart.yaml", "chart/values-dev.yaml", "skaffold.yaml"},
			[]string{"dev local chart chart with chart/values-dev.yaml"}},
		"JSON":      {[]string{"k8s/a.json"}, []string{"default local k8s"}},
		"in braces": {[]string{"k8s/flow.yaml"}, []string{"default local k8s"}},
		"nothing":   {[]string{"src/main.go", "k8s/notes.txt", "k8s/Chart.yaml", "Tiltfile"}, nil},
		"a library": {[]string{"charts/lib/Chart.yaml", "charts/lib/values-dev.yaml"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				files[f] = manifest
				if text := texts[f]; text != "" {
					files[f] = text
				}
			}
			p, err := Open(foldertest.Of(t, files))
			if c.want == nil {
				if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "looked for slipway.yaml, k8s/overlays/*") {
					t.Errorf("%+v %v", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range p.Environments {
				got = append(got, fmt.Sprintf("%s %s %s", e.Name, e.Class, describe(e)))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if len(p.Notes) < len(got) {
				t.Errorf("the notes lack the assumption: %q", NoteTexts(p.Notes))
			}
			for _, e := range p.Environments {
				for _, c := range e.Charts {
					if want := nameOf(c.Path); len(e.Charts) > 1 && c.Release != want || len(e.Charts) == 1 &&
						c.Release != p.Name {
						t.Errorf("%s: release %q", c.Path, c.Release)
					}
				}
			}
		})
	}
}

func TestDetectImage(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{"My App/Dockerfile": "", "My App/k8s/a.yaml": manifest})
	p, err := Open(filepath.Join(dir, "My App"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{{Name: "my-app", Context: ".", Dockerfile: "Dockerfile", Detected: true}}
	if diff := cmp.Diff(want, p.Images); diff != "" {
		t.Error(diff)
	}
	wantNotes := []string{"using k8s as environment default of class local",
		"using Dockerfile to build image my-app"}
	if diff := cmp.Diff(wantNotes, NoteTexts(p.Notes)); diff != "" {
		t.Error(diff)
	}
}

func TestOpenLooksUpToTheGitRoot(t *testing.T) {
	const file = "project: a\nenvironments: {dev: {path: k8s}}\n"
	dir := foldertest.Of(t, map[string]string{
		"repo/.git/": "", "repo/slipway.yaml": file, "repo/k8s/a.yaml": manifest, "repo/src/deep/": "",
		"plain/slipway.yaml": file, "plain/k8s/a.yaml": manifest, "plain/src/": "",
		"found/.git/": "", "found/k8s/overlays/dev/kustomization.yaml": "",
		"charts/.git/": "", "charts/charts/api/Chart.yaml": "", "charts/charts/api/templates/": "",
		"above/slipway.yaml": file, "above/repo/.git/": "",
	})
	for from, want := range map[string]string{
		"repo": "repo", "repo/src/deep": "repo", "plain": "plain", "plain/src": "",
		"found/k8s/overlays/dev": "found", "found/k8s": "found", "charts/charts/api/templates": "charts",
		"above/repo": "",
	} {
		p, err := Open(filepath.Join(dir, from))
		if want == "" {
			if !errors.Is(err, ErrNone) {
				t.Errorf("%s: %+v %v", from, p, err)
			}
			continue
		}
		if err != nil || p.Dir != filepath.Join(dir, want) {
			t.Errorf("%s: %s %v", from, p.Dir, err)
		}
	}
}

func TestNotesSayWhatIsNotTaken(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{
		"app/k8s/overlays/dev/kustomization.yaml": "", "app/k8s/base.yaml": manifest, "app/chart/Chart.yaml": "",
		"app/chart/values-dev.yaml": "",
		"app/skaffold.yaml":         "", "app/Tiltfile": "", "app/deploy/a.yaml": manifest,
	})
	p, err := Open(filepath.Join(dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"using k8s/overlays/dev as environment dev of class local",
		"not used: chart/Chart.yaml, skaffold.yaml",
	}
	if diff := cmp.Diff(want, NoteTexts(p.Notes)); diff != "" {
		t.Error(diff)
	}
}

// Profiles win over names; without either it is every environment.
func TestChosen(t *testing.T) {
	p := Project{Dir: t.TempDir(), Environments: []Environment{{Name: "dev"}, {Name: "prod"}}}
	for want, names := range map[string][]string{"dev prod": nil, "prod dev": {"prod", "dev"}} {
		envs, err := p.Chosen(names, nil)
		if err != nil || len(envs) != 2 || envs[0].Name+" "+envs[1].Name != want {
			t.Errorf("%q: %v, %v", names, envs, err)
		}
	}
	if _, err := p.Chosen([]string{"qa"}, nil); !errors.As(err, new(*UnknownEnvironmentError)) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := p.Chosen([]string{"dev"}, []string{"gcb"}); !errors.As(err, new(*NoSkaffoldError)) {
		t.Errorf("profiles: %v", err)
	}
}
