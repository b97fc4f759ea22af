package project

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const manifest = "apiVersion: v1\nkind: ConfigMap\n"

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"base and overlays":    {[]string{"k8s/base/kustomization.yaml", "k8s/overlays/dev/kustomization.yaml", "k8s/overlays/prod/kustomization.yml"}, []string{"dev local k8s/overlays/dev", "prod production k8s/overlays/prod"}},
		"overlays at the root": {[]string{"base/a.yaml", "overlays/qa/Kustomization"}, []string{"qa staging overlays/qa"}},
		"deploy":               {[]string{"deploy/k8s/overlays/live/kustomization.yaml"}, []string{"live production deploy/k8s/overlays/live"}},
		"manifests":            {[]string{"manifests/overlays/eu-west/kustomization.yaml", "manifests/overlays/readme/README.md"}, []string{"eu-west production manifests/overlays/eu-west"}},
		"copied folders":       {[]string{"k8s-dev/a.yaml", "k8s-prod/a.yaml", "k8s-notes/x.txt"}, []string{"dev local k8s-dev", "prod production k8s-prod"}},
		"subfolders":           {[]string{"k8s/dev/a.yaml", "k8s/staging/a.yaml", "k8s/crds/a.yaml"}, []string{"dev local k8s/dev", "staging staging k8s/staging"}},
		"one folder":           {[]string{"k8s/a.yaml"}, []string{"default local k8s"}},
		"nothing":              {[]string{"src/main.go", "k8s/notes.txt", "k8s/Chart.yaml"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				files[f] = manifest
			}
			p, err := Open(tree(t, files))
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
				got = append(got, fmt.Sprintf("%s %s %s", e.Name, e.Class, e.Path))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if len(p.Notes) < len(got) {
				t.Errorf("what was assumed is not said: %q", p.Notes)
			}
		})
	}
}

func TestDetectImage(t *testing.T) {
	dir := tree(t, map[string]string{"My App/Dockerfile": "", "My App/k8s/a.yaml": manifest})
	p, err := Open(filepath.Join(dir, "My App"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{{Name: "my-app", Context: ".", Dockerfile: "Dockerfile", Detected: true}}
	if diff := cmp.Diff(want, p.Images); diff != "" {
		t.Error(diff)
	}
	wantNotes := []string{"k8s is taken as one environment, default, of class local", "Dockerfile is taken to build image my-app"}
	if diff := cmp.Diff(wantNotes, p.Notes); diff != "" {
		t.Error(diff)
	}
}

func TestOpenLooksUpToTheGitRoot(t *testing.T) {
	const file = "project: a\nenvironments: {dev: {path: k8s}}\n"
	dir := tree(t, map[string]string{
		"repo/.git/": "", "repo/slipway.yaml": file, "repo/k8s/a.yaml": manifest, "repo/src/deep/": "",
		"plain/slipway.yaml": file, "plain/k8s/a.yaml": manifest, "plain/src/": "",
		"found/.git/": "", "found/k8s/overlays/dev/kustomization.yaml": "",
		"above/slipway.yaml": file, "above/repo/.git/": "",
	})
	for from, want := range map[string]string{
		"repo": "repo", "repo/src/deep": "repo", "plain": "plain", "plain/src": "", "found/k8s/overlays/dev": "found", "found/k8s": "found", "above/repo": "",
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

func TestClassOf(t *testing.T) {
	for name, want := range map[string]Class{
		"dev": Local, "local": Local, "dev-alice": Local, "staging": Staging, "qa": Staging, "test": Staging,
		"prod": Production, "production": Production, "live": Production, "eu-prod": Production, "prod-test": Production,
	} {
		if got, note := classOf(name); got != want || note != "" {
			t.Errorf("%s: %s %q", name, got, note)
		}
	}
	if got, note := classOf("moon"); got != Production || note == "" {
		t.Errorf("moon: %s %q", got, note)
	}
}
