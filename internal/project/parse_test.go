package project

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/render/foldertest"
)

const whole = `project: myapp
images:
  - name: acme/myapp
    context: .
    dockerfile: Dockerfile
    target: run
    args: {GO: "1.26", N: 2}
    platforms: [linux/amd64, linux/arm64/v8]
environments:
  dev:
    path: k8s/dev
    context: laptop
    namespace: mine
    registry: k3d-registry.localhost:5000
  eu-prod:
    path: ./k8s/prod/
    class: production
  odd:
    path: k8s/prod
  shop:
    class: staging
    charts:
      - path: chart
        namespace: shop
        values: [chart/values-prod.yaml, ./more.yaml]
        set: [a=1, "b.c={x,y}"]
        setString: ["d=1"]
        setJSON: ['e=[1,2]']
        setFile: [f=more.yaml]
        setLiteral: ["g=a,b"]
        patches: k8s/patches
        noHooks: true
    kubeVersion: v1.31.2
    apiVersions: [monitoring.coreos.com/v1, policy/v1/PodDisruptionBudget]
  both:
    class: local
    path: k8s/dev
    charts:
      - {path: packed.tgz, release: own}
      - {path: redis, repository: "https://charts.example.com/stable", version: "20.1.0", release: cache}
      - {path: redis, repository: "oci://ghcr.io/acme", version: ">=1", release: cache, namespace: other}
  skaffold:
    class: local
    skaffold: skaffold.yaml
  profiles:
    class: staging
    skaffold: {file: k8s/skaffold.yaml, profiles: [gcb, -local]}
    noHooks: true
remotes: [oci://ghcr.io/acme]
`

func whereWhole(t testing.TB) string {
	return foldertest.Of(t, map[string]string{"Dockerfile": "", "k8s/dev/": "", "k8s/prod/": "", "k8s/file": "",
		"out":              "-> /etc",
		"chart/Chart.yaml": "", "chart/values-prod.yaml": "", "more.yaml": "", "packed.tgz": "",
		"k8s/patches/kustomization.yaml": "",
		"skaffold.yaml":                  "", "k8s/skaffold.yaml": ""})
}

const wholeImage = `project: a
environments: {dev: {path: k8s/dev}}
images:
  - name: x
    secrets: {npm: {env: NPM_TOKEN}, key: {file: .key}}
    ssh: true
    cache: {registry: "ghcr.io/acme/cache:shop", local: .cache, inline: true, github: true}
    provenance: max
    sbom: docker/buildkit-syft-scanner:1
  - {name: y, provenance: off}
`

func TestParseHowAnImageIsBuilt(t *testing.T) {
	p, err := Parse(whereWhole(t), []byte(wholeImage))
	if err != nil {
		t.Fatal(err)
	}
	want := []Image{{
		Name: "x", Context: ".", Dockerfile: "Dockerfile",
		Secrets: []Secret{{ID: "npm", Env: "NPM_TOKEN"}, {ID: "key", File: ".key"}}, SSH: true,
		Cache:      Cache{Registry: "ghcr.io/acme/cache:shop", Local: ".cache", Inline: true, GitHub: true},
		Provenance: "max", SBOM: "docker/buildkit-syft-scanner:1",
	}, {Name: "y", Context: ".", Dockerfile: "Dockerfile"}}
	if diff := cmp.Diff(want, p.Images); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

func TestParse(t *testing.T) {
	dir := whereWhole(t)
	got, err := Parse(dir, []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := Project{
		Name: "myapp", Dir: dir, File: "slipway.yaml",
		Images: []Image{{Name: "acme/myapp", Context: ".", Dockerfile: "Dockerfile", Target: "run",
			BuildArgs: map[string]string{"GO": "1.26", "N": "2"}, Platforms: []string{"linux/amd64",
				"linux/arm64/v8"}}},
		Environments: []Environment{
			{Name: "dev", Class: Local, Paths: []string{"k8s/dev"}, Context: "laptop", Namespace: "mine",
				Registry: "k3d-registry.localhost:5000", Line: 10},
			{Name: "eu-prod", Class: Production, Paths: []string{"k8s/prod"}, Line: 15},
			{Name: "odd", Class: Staging, Paths: []string{"k8s/prod"}, Line: 18},
			{Name: "shop", Class: Staging, Line: 20, KubeVersion: "v1.31.2",
				APIVersions: []string{"monitoring.coreos.com/v1", "policy/v1/PodDisruptionBudget"},
				Charts: []Chart{{Path: "chart", Release: "myapp", Namespace: "shop",
					Values: []string{"chart/values-prod.yaml", "more.yaml"},
					Set:    []string{"a=1", "b.c={x,y}"}, SetString: []string{"d=1"}, SetJSON: []string{"e=[1,2]"},
					SetFile:    []string{"f=more.yaml"},
					SetLiteral: []string{"g=a,b"}, Patches: "k8s/patches", NoHooks: true, Line: 23}}},
			{Name: "both", Class: Local, Paths: []string{"k8s/dev"}, Line: 35, Charts: []Chart{
				{Path: "packed.tgz", Release: "own", Line: 39},
				{Path: "redis", Repository: "https://charts.example.com/stable", Version: "20.1.0",
					Release: "cache", Line: 40},
				{Path: "redis", Repository: "oci://ghcr.io/acme", Version: ">=1", Release: "cache",
					Namespace: "other", Line: 41},
			}},
			{Name: "skaffold", Class: Local, Skaffold: &Skaffold{File: "skaffold.yaml"}, Line: 42},
			{Name: "profiles", Class: Staging, Skaffold: &Skaffold{File: "k8s/skaffold.yaml", Profiles: []string{"gcb",
				"-local"}}, NoHooks: true, Line: 45},
		},
		Remotes: []string{"oci://ghcr.io/acme", "https://charts.example.com/stable"},
		Notes: []Note{{Environments: []string{"odd", "eu-prod"}, Text: "environment odd is treated as staging: " +
			"its name does not say its class, and eu-prod is production"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	dir := whereWhole(t)
	const envs = "environments: {dev: {path: k8s/dev}}\n"
	env := func(keys string) string { return "project: a\nenvironments:\n  dev:\n    {" + keys + "}\n" }
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"# nothing\n", "the file is empty"},
		"syntax":        {"project: a\n b: c\n", "line 2: mapping values are not allowed in this context"},
		"open list":     {"project: a\nimages: [\nx: y\n", "line 2: did not find expected ',' or ']'"},
		"two documents": {"project: a\n---\nb: c\n", "line 2: the file has more than one document"},
		"unknown key": {"project: a\nimags: []\n" + envs,
			`line 2: unknown key "imags" (did you mean "images"?)`},
		"strange key": {"project: a\nwhatever: []\n" + envs,
			`line 2: unknown key "whatever" (known: environments, exceptions, health, images, project, remotes, rules)`},
		"unknown inner key": {"project: a\nenvironments:\n  dev:\n    pth: k8s/dev\n",
			`line 4: unknown key "pth" (did you mean "path"?)`},
		"not a mapping":   {"- a\n", "line 1: the file must be a mapping"},
		"wrong type":      {"project: a\nimages: {a: b}\n" + envs, "line 2: images must be a list"},
		"number for text": {"project: 12\n" + envs, `line 1: project name must be a string: write "12"`},
		"null":            {"project:\n" + envs, "line 1: project name must be a string"},
		"empty text":      {"project: ''\n" + envs, "line 1: project name is empty"},
		"bad name": {"project: My_App\n" + envs,
			`line 1: invalid project name "My_App": want lower-case letters, digits and dashes, at most 63`},
		"no project":     {envs, "line 1: project is missing: set it to the project's name"},
		"no environment": {"project: a\n", "line 1: environments is missing: define at least one"},
		"twice": {"project: a\nenvironments:\n  dev: {path: k8s/dev}\n  dev: {path: k8s/prod}\n",
			`line 4: duplicate key "dev" (first in line 3)`},
		"key twice": {"project: a\nproject: b\n" + envs,
			`line 2: duplicate key "project" (first in line 1)`},
		"no path": {"project: a\nenvironments:\n  dev: {class: local}\n",
			"line 3: environment dev needs a path, charts or skaffold"},
		"path is a file": {"project: a\nenvironments:\n  dev: {path: k8s/file}\n",
			"line 3: path k8s/file is not a directory"},
		"path above": {"project: a\nenvironments:\n  dev: {path: k8s/../../x}\n",
			"line 3: path k8s/../../x is outside the project"},
		"absolute path": {"project: a\nenvironments:\n  dev: {path: /etc}\n",
			"line 3: path /etc is outside the project"},
		"link out": {"project: a\nenvironments:\n  dev: {path: out}\n",
			"line 3: path out is a link to a path outside the project"},
		"no reason": {"project: a\n" + envs + "exceptions:\n  - rule: x\n",
			"line 4: an exception needs a reason"},
		"all excepted": {"project: a\n" + envs + "exceptions:\n  - reason: x\n",
			"line 4: an exception needs a rule, an object or a field"},
		"no day": {"project: a\n" + envs + "exceptions: [{until: soon}]\n",
			`line 3: invalid date "soon": want a date such as 2027-03-31`},
		"excepted where": {"project: a\n" + envs + "exceptions: [{rule: a, reason: b, environments: [dve]}]\n",
			`line 3: the exception names an unknown environment "dve" (did you mean "dev"?)`},
		"unknown class": {"project: a\nenvironments:\n  dev: {path: k8s/dev, class: prod}\n",
			`line 3: unknown class "prod" (did you mean "production"?): want local, staging or production`},
		"alias":         {"project: &a x\nenvironments: *a\n", "line 2: aliases are not supported here"},
		"merge":         {"<<: {project: a}\n" + envs, "line 1: a key of the file must be a string"},
		"image without": {"project: a\nimages:\n- context: .\n" + envs, "line 3: an image needs a name"},
		"image tag": {"project: a\nimages:\n- name: myapp:dev\n" + envs,
			`line 3: invalid image name "myapp:dev": want a repository without tag or digest, such as myapp or acme/myapp`},
		"image twice": {"project: a\nimages:\n- name: x\n- name: x\n" + envs,
			`line 4: duplicate image "x"`},
		"no Dockerfile": {"project: a\nimages:\n- name: x\n  context: k8s\n" + envs,
			"line 3: dockerfile k8s/Dockerfile: no such file"},
		"Dockerfile folder": {"project: a\nimages:\n- name: x\n  dockerfile: k8s\n" + envs,
			"line 4: dockerfile k8s is a directory"},
		"secret of nothing": {"project: a\nimages:\n- name: x\n  secrets: {npm: {}}\n" + envs,
			"line 4: secret npm needs either env or file, which holds its value"},
		"secret elsewhere": {"project: a\nimages:\n- name: x\n  secrets: {npm: {file: ../token}}\n" + envs,
			"line 4: file ../token of secret npm is outside the project's directory"},
		"secret in the file": {"project: a\nimages:\n- name: x\n  secrets: {npm: {env: 'a b'}}\n" + envs,
			`line 4: invalid env "a b": want the name of an environment variable`},
		"argument of none": {"project: a\nimages:\n- name: x\n  args: {A: }\n" + envs,
			"line 4: argument A must be a string: no value is taken from the environment"},
		"cache elsewhere": {"project: a\nimages:\n- name: x\n  cache: {local: /tmp/cache}\n" + envs,
			"line 4: cache directory /tmp/cache is outside the project's directory"},
		"cache without name": {"project: a\nimages:\n- name: x\n  cache: {registry: 'https://x.org'}\n" + envs,
			`line 4: invalid registry "https://x.org": want an image such as ghcr.io/acme/cache:shop`},
		"provenance": {"project: a\nimages:\n- name: x\n  provenance: full\n" + envs,
			`line 4: invalid provenance "full": want min, max or off`},
		"platform misspelt": {"project: a\nimages:\n- name: x\n  platforms: [linux/amd46]\n" + envs,
			`line 4: invalid platform "linux/amd46": want OS/ARCH, such as linux/amd64`},
		"platform": {"project: a\nimages:\n- name: x\n  platforms: [amd64]\n" + envs,
			`line 4: invalid platform "amd64": want OS/ARCH, such as linux/amd64`},
		"registry": {"project: a\nenvironments:\n  dev: {path: k8s/dev, registry: 'https://ghcr.io'}\n",
			`line 3: invalid registry "https://ghcr.io": want a host and path without scheme, such as ghcr.io/acme`},
		"remote": {"project: a\nremotes: [ghcr.io/acme]\n" + envs,
			`line 2: invalid address "ghcr.io/acme": want an address such as https://charts.example.com or oci://ghcr.io/acme/charts`},
		"chart as path": {env("path: chart"),
			"line 4: path chart is a Helm chart: write charts: [{path: chart}]"},
		"no chart's path": {env("charts: [{release: x}]"),
			"line 4: a chart needs a path: its directory, or its name in a repository"},
		"chart as mapping": {env("charts: {path: chart}"), "line 4: charts must be a list"},
		"no chart":         {env("charts: [{path: k8s/dev}]"), "line 4: chart k8s/dev has no Chart.yaml"},
		"a signature without a signer": {env("signatures: [{identity: ci}]"),
			"line 4: a signature needs a key, or an identity and its issuer"},
		"two in one": {env("signatures: [{key: chart/Chart.yaml, identity: ci}]"),
			"line 4: a signature has either a key or an identity: write two signatures"},
		"no key file":   {env("signatures: [{key: web.pub}]"), "line 4: key web.pub: no such file"},
		"chart outside": {env("charts: [{path: ../chart}]"), "line 4: chart ../chart is outside the project"},
		"chart's key": {env("charts: [{path: chart, value: []}]"),
			`line 4: unknown key "value" (did you mean "values"?)`},
		"values as text": {env("charts: [{path: chart, values: more.yaml}]"), "line 4: values must be a list"},
		"set": {env("charts: [{path: chart, set: [replicas]}]"),
			`line 4: invalid assignment "replicas": want KEY=VALUE`},
		"set as mapping": {env("charts: [{path: chart, set: {replicas: 2}}]"), "line 4: set must be a list"},
		"repository alone": {env("charts: [{path: redis, repository: 'https://x.org'}]"),
			"line 4: chart redis comes from a repository and needs a version"},
		"version alone": {env("charts: [{path: chart, version: 1.2.3}]"),
			"line 4: chart chart has a version, but no repository: a chart in the project has only one version"},
		"version as number": {env("charts: [{path: redis, repository: 'https://x.org', version: 1.20}]"),
			`line 4: version must be a string: write "1.20"`},
		"repository": {env("charts: [{path: redis, repository: bitnami, version: 1.2.3}]"),
			`line 4: invalid repository "bitnami": want an address such as https://charts.example.com or oci://ghcr.io/acme/charts`},
		"address as path": {env("charts: [{path: 'oci://x.org/redis'}]"),
			"line 4: path oci://x.org/redis is an address: write repository, version, and the chart's name as path"},
		"no release": {env("charts: [{path: chart}, {path: packed.tgz, release: x}]"),
			"line 4: chart chart needs a release: the environment has several charts"},
		"release twice": {env("charts: [{path: chart, release: x}, {path: packed.tgz, release: x}]"),
			`line 4: duplicate release "x" (first in line 4)`},
		"release's name": {env("charts: [{path: chart, release: My_App}]"),
			`line 4: invalid release "My_App": want lower-case letters, digits and dashes, at most 53`},
		"noHooks": {env("charts: [{path: chart, noHooks: perhaps}]"),
			"line 4: noHooks must be true or false"},
		"patches": {env("charts: [{path: chart, patches: k8s/dev}]"),
			"line 4: patches k8s/dev has no kustomization.yaml"},
		"kubeVersion": {env("kubeVersion: 1.30"), `line 4: kubeVersion must be a string: write "1.30"`},
		"kubeVersion name": {env("kubeVersion: latest"),
			`line 4: invalid kubeVersion "latest": want a version such as 1.31 or v1.31.2`},
		"apiVersions": {env("apiVersions: [a/b/c/d]"),
			`line 4: invalid API version "a/b/c/d": want a version such as monitoring.coreos.com/v1, or a kind such as monitoring.coreos.com/v1/ServiceMonitor`},
		"skaffold's file": {env("skaffold: {file: k8s/dev}"), "line 4: skaffold k8s/dev is a directory"},
		"skaffold's key": {env("skaffold: {profile: [x]}"),
			`line 4: unknown key "profile" (did you mean "profiles"?)`},
		"skaffold and path": {env("skaffold: skaffold.yaml, path: k8s/dev"),
			"line 3: environment dev has both skaffold and path or charts: skaffold.yaml names these itself"},
		"too large": {"# " + strings.Repeat("x", 2<<20), "larger than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(dir, []byte(c.text))
			var fe *FileError
			if !errors.As(err, &fe) || err.Error() != "read slipway.yaml: "+c.want {
				t.Errorf("got  %v\nwant read slipway.yaml: %s", err, c.want)
			}
		})
	}
}

// A path that does not exist is the fault of one environment.
func TestAbsentPaths(t *testing.T) {
	dir := whereWhole(t)
	for setting, want := range map[string]string{
		"path: k8s/dve":                          "path k8s/dve: no such directory",
		"path: k8s/dve.yaml":                     "path k8s/dve.yaml: no such file",
		"charts: [{path: k8s/chart}]":            "chart k8s/chart: no such directory",
		"charts: [{path: x.tgz}]":                "chart x.tgz: no such file",
		"charts: [{path: chart, values: [x.y]}]": "values x.y: no such file",
		"charts: [{path: chart, patches: x}]":    "patches x: no such directory",
		"skaffold: skafold.yaml":                 "skaffold skafold.yaml: no such file",
		"skaffold: {file: skafold.yaml}":         "skaffold skafold.yaml: no such file",
	} {
		p, err := Parse(dir, []byte("project: a\nenvironments:\n  dev: {"+setting+"}\n  prod: {path: k8s/prod}\n"))
		if err != nil || len(p.Environments) != 2 {
			t.Errorf("%s: %v %v", setting, p.Environments, err)
			continue
		}
		for _, e := range p.Environments {
			switch {
			case e.Name == "prod" && e.Absent == nil:
			case e.Name == "dev" && len(e.Absent) == 1 && e.Absent[0].Error() == want && e.Absent[0].Line == 3:
			default:
				t.Errorf("%s: %+v", setting, e)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	p := Project{Environments: []Environment{{Name: "dev"}, {Name: "staging"}, {Name: "prod"}}}
	if e, err := p.Environment("prod"); err != nil || e.Name != "prod" {
		t.Errorf("%v %v", e, err)
	}
	for name, want := range map[string]string{
		"stagign": "staging", "prdo": "prod", "qa": "",
	} {
		_, err := p.Environment(name)
		var unknown *UnknownEnvironmentError
		if !errors.As(err, &unknown) || unknown.Suggestion != want || len(unknown.Known) != 3 {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("project: &a [*a]\n")
	f.Add("{project: x, environments: {dev: {path: .}}}")
	dir := whereWhole(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(dir, []byte(text))
		var fe *FileError
		if err != nil && !errors.As(err, &fe) {
			t.Errorf("%T %v", err, err)
		}
		if err == nil && (p.Name == "" || len(p.Environments) == 0) {
			t.Errorf("%+v", p)
		}
	})
}
