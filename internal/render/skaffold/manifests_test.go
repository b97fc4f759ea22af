package skaffold

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestManifests(t *testing.T) {
	configs, err := Parse([]byte(head+`build:
  artifacts: [{image: web}, {image: registry.local:5000/acme/api-v2}]
manifests:
  rawYaml: [k8s/*.yaml, "{{.STAGE}}/extra.yaml"]
  kustomize:
    paths: ["overlays/{{.STAGE}}"]
    buildArgs: ["--enable-helm --load-restrictor LoadRestrictionsNone"]
  helm:
    releases:
    - name: "web-{{.STAGE}}"
      namespace: '{{default "shop" .NAMESPACE}}'
      chartPath: charts/web
      valuesFiles: [values.yaml, "values-{{.STAGE}}.yaml"]
      setValues: {service: {port: 80}, a: x}
      setValueTemplates:
        image.repository: "{{.IMAGE_REPO_registry_local_5000_acme_api_v2}}"
        image.tag: "{{.IMAGE_TAG2}}@{{.IMAGE_DIGEST2}}"
      setFiles: {config: files/c.json}
      overrides: {replicas: 2}
      skipTests: true
deploy:
  kubeContext: live
  kubectl: {defaultNamespace: "{{.STAGE}}"}
  helm:
    releases:
    - {name: redis, remoteChart: redis, repo: https://charts.example.com, version: 1.2.3}
`), "app/skaffold.yaml")
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return "prod", name == "STAGE" }
	all, err := Resolve(configs, Activation{Env: env}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := all[0].Manifests(
		map[string]string{"registry.local:5000/acme/api-v2": "registry.local:5000/acme/api-v2:sha-1"})
	if err != nil {
		t.Fatal(err)
	}
	expected := Manifests{
		RawYAML:              []Path{{"app/k8s/*.yaml", 6}, {"app/prod/extra.yaml", 6}},
		Kustomize:            []Path{{"app/overlays/prod", 8}},
		LoadRestrictionsNone: true, EnableHelm: true,
		Namespace: "prod", KubeContext: "live",
		Releases: []Release{{
			Name: "web-prod", Namespace: "shop", ChartPath: "app/charts/web",
			ValuesFiles: []string{"app/values.yaml", "app/values-prod.yaml"},
			Overrides:   map[string]any{"replicas": int64(2)},
			Set: []string{"a=x", "service.port=80",
				"image.repository=registry.local:5000/acme/api-v2", "image.tag=sha-1"},
			SetFile:   []string{"config=app/files/c.json"},
			SkipTests: true, Line: 12,
		}, {
			Name: "redis", RemoteChart: "redis", Repo: "https://charts.example.com", Version: "1.2.3", Line: 28,
		}},
	}
	if d := cmp.Diff(expected, got); d != "" {
		t.Error(d)
	}
}

func TestManifestsOfNothingInParticular(t *testing.T) {
	r := resolved(t, "", Activation{})
	m, err := r.Manifests(nil)
	if d := cmp.Diff(Manifests{RawYAML: []Path{{Path: "k8s/*.yaml"}}, Default: true}, m); d != "" || err != nil {
		t.Error(d, err)
	}
	r = resolved(t, "manifests: {kustomize: {}}", Activation{})
	m, err = r.Manifests(nil)
	if d := cmp.Diff(Manifests{Kustomize: []Path{{".", 3}}}, m); d != "" || err != nil {
		t.Error(d, err)
	}
}

// Each field that is not rendered is reported.
func TestWhatCannotBeRenderedIsSaid(t *testing.T) {
	release := func(more string) string {
		return "manifests: {helm: {releases: [{name: r, chartPath: c, " + more + "}]}}"
	}
	for body, expected := range map[string]string{
		"manifests: {kpt: [a]}":                                                            "kpt packages: rendering runs no program",
		"manifests: {transform: [{name: a}]}":                                              "kpt functions",
		"manifests: {remoteManifests: [{manifest: a}]}":                                    "manifests of another cluster",
		"manifests: {hooks: {after: [{host: {command: [sed], withChange: true}}]}}":        "a program that changes manifests",
		"manifests: {rawYaml: [https://example.com/a.yaml]}":                               "nothing is fetched",
		"manifests: {rawYaml: [/etc/a.yaml]}":                                              "outside the project",
		"manifests: {kustomize: {buildArgs: [--enable-exec]}}":                             "kustomize build --enable-exec is not supported",
		"manifests: {helm: {flags: {global: [--post-renderer=x]}, releases: [{name: r}]}}": "helm flag --post-renderer=x",
		"manifests: {helm: {releases: [{name: r}]}}":                                       "neither chartPath nor remoteChart",
		release("packaged: {version: 1.0.0}"):                                              "not packaged first",
		release("valuesFiles: [gs://a/b.yaml]"):                                            "nothing is fetched",
		release("setValueTemplates: {tag: '{{.IMAGE_TAG}}'}"):                              "IMAGE_TAG is not set; an image's variables are known once it is built",
		release("namespace: '{{.NOWHERE}}'"):                                               "NOWHERE is not set",
		release(`namespace: '{{cmd "id"}}'`):                                               `function "cmd" not defined`,
		release(`namespace: '{{printf "%999999d" 1}}'`):                                    "function printf is not supported",
		release("namespace: '{{range 9999999999}}{{end}}'"):                                "is not supported",
		release("namespace: '{{$a := .A}}'"):                                               "variables are not supported",
	} {
		r := resolved(t, body, Activation{})
		_, err := r.Manifests(nil)
		if err == nil {
			t.Errorf("no error in %s", body)
			continue
		}
		want(t, err.Error(), "skaffold.yaml:3: ", expected)
	}
	for body, expected := range map[string]string{
		"manifests: {validate: [{name: a}]}":                               "manifests.validate is not run",
		"manifests: {hooks: {before: [{host: {command: [a]}}]}}":           "manifests.hooks.before are not run",
		"manifests: {output: out}":                                         "manifests.output is not written to",
		"deploy: {kubectl: {flags: {apply: [--force]}}}":                   "deploy.kubectl.flags are not used",
		"deploy: {kubectl: {hooks: {before: [{host: {command: [a]}}]}}}":   "deploy.kubectl.hooks are not run",
		"deploy: {docker: {images: [a]}}":                                  "deploy.docker is skipped",
		"deploy: {cloudrun: {}}":                                           "deploy.cloudrun is skipped",
		"resourceSelector: {deny: [{groupKind: Job}]}":                     "resourceSelector is not used",
		"deploy: {helm: {flags: {upgrade: [--timeout=5m]}, releases: []}}": "--timeout=5m is not used",
		release("recreatePods: true"):                                      "recreatePods is not used",
	} {
		r := resolved(t, body, Activation{})
		m, err := r.Manifests(nil)
		if err != nil || len(m.Warnings) != 1 {
			t.Errorf("%s: %v, warnings %v", body, err, m.Warnings)
			continue
		}
		want(t, m.Warnings[0].String(), "skaffold.yaml:3: ", expected)
	}
}

func TestTemplates(t *testing.T) {
	env := map[string]string{"A": "a", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for text, expected := range map[string]string{
		"plain":                             "plain",
		"{{.A}}-{{ .A | upper }}":           "a-A",
		`{{default "d" .NONE}}`:             "d",
		`{{.EMPTY}}`:                        "",
		`{{if eq .A "a"}}y{{else}}n{{end}}`: "y",
		`{{trimSuffix "a" "xa"}}`:           "x",
	} {
		got, err := expandTemplate(text, lookup)
		if err != nil || got != expected {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if _, err := expandTemplate("{{.A", lookup); err == nil || !strings.Contains(err.Error(), "{{.A") {
		t.Errorf("broken template: %v", err)
	}
}
