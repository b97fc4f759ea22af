package check

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// Whatever names a missing file, the rest of the environment is rendered and checked.
func TestLeftOut(t *testing.T) {
	for entry, what := range map[string]string{
		"secretGenerator: [{name: creds, envs: [ignored.yaml]}]":              "a part of Secret creds",
		"configMapGenerator: [{name: creds, env: ignored.yaml}]":              "a part of ConfigMap creds",
		"configMapGenerator: [{name: c, files: [key=ignored.yaml]}]":          "a part of ConfigMap c",
		"patches: [{path: ignored.yaml, target: {kind: Deployment}}]":         "the patch ignored.yaml",
		"patchesStrategicMerge: [ignored.yaml]":                               "the patch ignored.yaml",
		"patchesJson6902: [{path: ignored.yaml, target: {kind: X, name: x}}]": "the patch ignored.yaml",
		"components: [ignored.yaml]":                                          "the changes of ignored.yaml",
		"replacements: [{path: ignored.yaml}]":                                "what ignored.yaml sets",
		"resources: [../base, ignored.yaml]":                                  "the objects of ignored.yaml",
		"resources: [ignored.yaml, ../base]":                                  "the objects of ignored.yaml",
	} {
		t.Run(entry, func(t *testing.T) {
			if !strings.HasPrefix(entry, "resources") {
				entry += "\nresources: [../base]"
			}
			dir := foldertest.Of(t, map[string]string{
				".gitignore": "ignored*\n", "prod/kustomization.yaml": entry + "\n",
				"prod/ignored.sample.yaml": "", "base/kustomization.yaml": "resources: [web.yaml]\n",
				"base/web.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n" +
					"spec: {type: NodePort, ports: [{port: 80}]}\n",
			})
			git := exec.Command("git", "init", "-q")
			git.Dir = dir
			if out, err := git.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			env := project.Environment{Name: "prod", Class: project.Production, Paths: []string{"prod"}}
			renderer, err := render.Open(dir, render.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer renderer.Close()
			report, err := Run(t.Context(), Input{
				Project:      project.Project{Dir: dir, Environments: []project.Environment{env}},
				Environments: []project.Environment{env}, Renderer: renderer, Now: time.Now(),
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.LeftOut) != 1 || report.LeftOut[0].What != what ||
				report.LeftOut[0].Why() != "prod/ignored.yaml is ignored by Git; ignored.sample.yaml is there" {
				t.Errorf("left out: %+v; findings: %v", report.LeftOut, report.Findings)
			}
			report.Findings = slices.DeleteFunc(report.Findings, func(f finding.Finding) bool {
				return f.Rule == "deprecated"
			})
			if len(report.Findings) != 1 || report.Findings[0].Rule != "service-nodeport" {
				t.Errorf("findings: %v", report.Findings)
			}
			if _, err := renderer.Render(t.Context(), env); err == nil {
				t.Error("the environment renders without the file")
			}
		})
	}
}
