package project

import (
	"testing"
	"testing/fstest"
)

// The tutorial has overlays, which are taken, and a chart beside them, which is checked.
func TestOthers(t *testing.T) {
	p, err := Open("../../examples/tutorial")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Environments) != 2 || p.Environments[0].Name != "dev" || p.Environments[1].Name != "prod" {
		t.Errorf("environments: %+v", p.Environments)
	}
	if len(p.Others) != 1 || p.Others[0].Name != "chart-prod" || p.Others[0].Class != Production ||
		p.Others[0].Charts[0].Release != "tutorial" {
		t.Errorf("others: %+v", p.Others)
	}
}

// An addition to overlays lacks what they have: it is not an environment, and is not checked as one.
func TestAdditionIsNotChecked(t *testing.T) {
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	p, ok := walk(fstest.MapFS{
		"k8s/base/kustomization.yaml":              text("resources: [web.yaml]\n"),
		"k8s/base/web.yaml":                        text(manifest),
		"k8s/overlays/staging/kustomization.yaml":  text("resources: [../../base]\n"),
		"k8s/overlays/prod/kustomization.yaml":     text("resources: [../../base]\n"),
		"k8s/overlays/exporter/kustomization.yaml": text("resources: [exporter.yaml]\n"),
		"k8s/overlays/exporter/exporter.yaml":      text(manifest),
	}).project(".")
	if !ok || len(p.Environments) != 2 || len(p.Others) != 0 {
		t.Errorf("environments %+v, others %+v", p.Environments, p.Others)
	}
}
