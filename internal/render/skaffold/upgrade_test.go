package skaffold

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Older versions say the same in other places. Each pair of files must come to the same manifests.
func TestOlderVersions(t *testing.T) {
	for name, c := range map[string]struct{ old, now string }{
		"files": {`apiVersion: skaffold/v2beta29
kind: Config
build: {artifacts: [{image: web, jib: {}}], tagPolicy: {gitCommit: {}}, local: {push: false}}
test: [{image: web}]
deploy: {kubectl: {manifests: [k8s/*.yaml]}, statusCheckDeadlineSeconds: 5}
`, head + "build: {artifacts: [{image: web}]}\nmanifests: {rawYaml: [k8s/*.yaml]}\n"},
		"the first versions": {`apiVersion: skaffold/v1alpha2
kind: Config
build: {artifacts: [{imageName: web, workspace: app, docker: {dockerfilePath: D}}]}
deploy: {kubectl: {manifests: [a.yaml]}}
`, head + "build: {artifacts: [{image: web, context: app}]}\nmanifests: {rawYaml: [a.yaml]}\n"},
		"kustomize": {"apiVersion: skaffold/v1\nkind: Config\ndeploy: {kustomize: {paths: [a, b]}}\n",
			head + "manifests: {kustomize: {paths: [a, b]}}\n"},
		"one overlay": {"apiVersion: skaffold/v1alpha5\nkind: Config\ndeploy: {kustomize: {path: a}}\n",
			head + "manifests: {kustomize: {paths: [a]}}\n"},
		"no overlay": {"apiVersion: skaffold/v2beta6\nkind: Config\ndeploy:\n  kustomize: {}\n",
			head + "manifests: {kustomize: {paths: [.]}}\n"},
		"charts": {`apiVersion: skaffold/v2beta29
kind: Config
build: {artifacts: [{image: web}]}
deploy:
  helm:
    releases:
    - name: a
      chartPath: charts/a
      artifactOverrides: {image: web, job: {image: web}}
      setValues: {image: other, x: 1}
    - name: b
      chartPath: charts/b
      artifactOverrides: {image: web, more: web}
      imageStrategy: {helm: {explicitRegistry: true}}
`, head + `build: {artifacts: [{image: web}]}
manifests:
  helm:
    releases:
    - name: a
      chartPath: charts/a
      setValues: {image: other, x: 1}
      setValueTemplates: {image: "{{.IMAGE_FULLY_QUALIFIED_web}}", job.image: "{{.IMAGE_FULLY_QUALIFIED_web}}"}
    - name: b
      chartPath: charts/b
      setValueTemplates:
        image.tag: "{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}"
        image.registry: "{{.IMAGE_DOMAIN}}"
        image.repository: "{{.IMAGE_REPO_NO_DOMAIN}}"
        more.tag: "{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}"
        more.registry: "{{.IMAGE_DOMAIN}}"
        more.repository: "{{.IMAGE_REPO_NO_DOMAIN}}"
`},
		"the first charts": {`apiVersion: skaffold/v1alpha2
kind: Config
build: {artifacts: [{imageName: web}]}
deploy:
  helm:
    releases:
    - {name: a, chartPath: charts/a, valuesFilePath: v.yaml, values: {image: web}}
    - {name: b, chartPath: stable/b, remote: true}
profiles:
- name: prod
  deploy: {helm: {releases: [{name: c, chartPath: charts/c, values: {image: web}, imageStrategy: {helm: {}}}]}}
`, head + `build: {artifacts: [{image: web}]}
manifests:
  helm:
    releases:
    - name: a
      chartPath: charts/a
      valuesFiles: [v.yaml]
      setValueTemplates: {image: "{{.IMAGE_FULLY_QUALIFIED}}"}
    - {name: b, remoteChart: stable/b}
profiles:
- name: prod
  manifests:
    helm:
      releases:
      - name: c
        chartPath: charts/c
        setValueTemplates:
          image.tag: "{{.IMAGE_TAG}}@{{.IMAGE_DIGEST}}"
          image.repository: "{{.IMAGE_REPO}}"
`},
		"profiles": {`apiVersion: skaffold/v2beta29
kind: Config
deploy: {kubectl: {manifests: [a.yaml, b.yaml]}}
profiles:
- name: prod
  patches:
  - {op: replace, path: /deploy/kubectl/manifests/0, value: c.yaml}
`, head + `manifests: {rawYaml: [a.yaml, b.yaml]}
profiles:
- name: prod
  patches: [{op: replace, path: /manifests/rawYaml/0, value: c.yaml}]
`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(withoutLines(t, c.now), withoutLines(t, c.old)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Skaffold does not upgrade what is deployed with kpt.
func TestOlderVersionsWithKpt(t *testing.T) {
	text := "apiVersion: skaffold/v2beta20\nkind: Config\nprofiles:\n- name: a\n  deploy:\n    kpt: {dir: x}\n"
	if _, err := Parse([]byte(text), "skaffold.yaml"); err == nil || !strings.HasPrefix(err.Error(),
		"skaffold.yaml:6: deploy.kpt of skaffold/v2beta20") {
		t.Error(err)
	}
}

func withoutLines(t *testing.T, text string) Manifests {
	t.Helper()
	configs, err := Parse([]byte(text), "skaffold.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a := Activation{Env: func(string) (string, bool) { return "", false }}
	if strings.Contains(text, "name: prod") {
		a.Profiles = []string{"prod"}
	}
	all, err := Resolve(configs, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := all[0].Manifests(map[string]string{"web": "web"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.RawYAML {
		m.RawYAML[i].Line = 0
	}
	for i := range m.Kustomize {
		m.Kustomize[i].Line = 0
	}
	for i := range m.Releases {
		m.Releases[i].Line = 0
	}
	return m
}
