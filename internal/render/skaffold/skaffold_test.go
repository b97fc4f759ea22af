package skaffold

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head = "apiVersion: skaffold/v4beta14\nkind: Config\n"

// resolved resolves the only configuration in body.
func resolved(t *testing.T, body string, a Activation) Resolved {
	t.Helper()
	r, err := try(body, a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(body string, a Activation) (Resolved, error) {
	configs, err := Parse([]byte(head+body), "skaffold.yaml")
	if err != nil {
		return Resolved{}, err
	}
	all, err := Resolve(configs, a, nil)
	if err != nil {
		return Resolved{}, err
	}
	return all[len(all)-1], nil
}

func fired(r Resolved) string {
	var out []string
	for _, f := range r.Fired {
		out = append(out, f.Profile)
	}
	return strings.Join(out, " ")
}

func warnings(r Resolved) string {
	var out []string
	for _, w := range r.Warnings {
		out = append(out, w.String())
	}
	return strings.Join(out, "\n")
}

// want fails unless text holds every part.
func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q does not say %q", text, p)
		}
	}
}

func TestPatternsMatchAnywhere(t *testing.T) {
	const body = `profiles:
- name: prod
  activation:
  - kubeContext: prod
`
	r := resolved(t, body, Activation{KubeContext: "nonprod"})
	if fired(r) != "prod" {
		t.Errorf("fired %q: Skaffold's patterns are not anchored", fired(r))
	}
	want(t, r.Fired[0].Why, `kubeContext "prod" matches "nonprod"`)
	want(t, warnings(r), "skaffold.yaml:6", "^prod$")

	if r := resolved(t, body, Activation{KubeContext: "prod"}); warnings(r) != "" {
		t.Errorf("warnings where the whole value matches: %s", warnings(r))
	}
	r = resolved(t, strings.Replace(body, "prod\n", "^prod$\n", 2), Activation{KubeContext: "nonprod"})
	if fired(r) != "" || warnings(r) != "" {
		t.Errorf("anchored: fired %q, warnings %s", fired(r), warnings(r))
	}
	want(t, r.NotFired[0].Why, `kubeContext "^prod$" does not match "nonprod"`)
	for _, anchored := range []string{"^prod", "-eu$"} {
		r = resolved(t, strings.Replace(body, "kubeContext: prod", "kubeContext: "+anchored, 1),
			Activation{KubeContext: "prod-eu"})
		if fired(r) != "prod" || warnings(r) != "" {
			t.Errorf("%s: fired %q, warnings %s", anchored, fired(r), warnings(r))
		}
	}
	r = resolved(t, strings.Replace(body, "kubeContext: prod", `kubeContext: "!prod"`, 1),
		Activation{KubeContext: "nonprod"})
	want(t, warnings(r), "!^prod$")
}

func TestChoicesAreExplained(t *testing.T) {
	const body = `profiles:
- name: any
  activation:
  - command: dev
  - env: STAGE=^live$
- name: all
  requiresAllActivations: true
  activation:
  - command: render
  - env: STAGE=^test$
- name: none
- name: off
  activation: [{command: render}]
- name: always
  activation: [{}]
`
	env := func(name string) (string, bool) { return "live", name == "STAGE" }
	r := resolved(t, body, Activation{Command: "render", Env: env, Profiles: []string{"-off"}})
	got := map[string]string{}
	for _, c := range append(r.Fired, r.NotFired...) {
		got[c.Profile] = fmt.Sprint(c.Line, " ", c.Why)
	}
	expected := map[string]string{
		"any":    `7 env STAGE "^live$" matches "live"`,
		"all":    `8 env STAGE "^test$" does not match "live"`,
		"none":   "13 no activation: select it with -p",
		"off":    "14 -p -off",
		"always": "17 an activation without a criterion always fires",
	}
	if d := cmp.Diff(expected, got); d != "" {
		t.Error(d)
	}
	if fired(r) != "any always" {
		t.Errorf("fired %q", fired(r))
	}
	if r = resolved(t, body, Activation{Command: "render", Env: env, NoAuto: true}); fired(r) != "" {
		t.Errorf("without activation %q fired", fired(r))
	}
}

func TestOrderOfNames(t *testing.T) {
	const body = `deploy: {kubeContext: base}
profiles:
- {name: a, deploy: {kubeContext: a}}
- {name: b, deploy: {kubeContext: b}}
`
	for names, context := range map[string]string{
		"": "base", "a": "a", "a b": "b", "b a": "a", "a -a": "base", "-a a": "a", "a b a": "b", "a b -b": "a",
	} {
		r := resolved(t, body, Activation{Profiles: strings.Fields(names)})
		if got := text(r.Config, "deploy", "kubeContext"); got != context {
			t.Errorf("-p %s: %s, not %s", names, got, context)
		}
	}
}

func TestAProfileCannotEmptyAField(t *testing.T) {
	const body = `manifests: {rawYaml: [a.yaml], kustomize: {}}
deploy:
  kubeContext: base
  tolerateFailuresUntilDeadline: true
  statusCheckDeadlineSeconds: 60
  statusCheck: true
profiles:
- name: empty
  manifests:
    rawYaml: []
    kustomize:
  deploy:
    kubeContext: ""
    tolerateFailuresUntilDeadline: false
    statusCheckDeadlineSeconds: 0
    statusCheck: false
    logs: {prefix: ""}
`
	r := resolved(t, body, Activation{Profiles: []string{"empty"}})
	expected := map[string]any{
		"apiVersion": version, "kind": "Config",
		"manifests": map[string]any{"rawYaml": []any{"a.yaml"}, "kustomize": map[string]any{}},
		"deploy": map[string]any{
			"kubeContext": "base", "tolerateFailuresUntilDeadline": true, "statusCheckDeadlineSeconds": int64(60),
			"statusCheck": false, // a pointer in Skaffold's schema: it does take effect
		},
	}
	if d := cmp.Diff(expected, r.Config); d != "" {
		t.Error(d)
	}
	if len(r.Warnings) != 5 {
		t.Errorf("%d warnings, one for each field that stays", len(r.Warnings))
	}
	want(t, warnings(r),
		`skaffold.yaml:12: profile "empty": manifests.rawYaml is empty and changes nothing`,
		`skaffold.yaml:13: profile "empty": manifests.kustomize is null and changes nothing`,
		`skaffold.yaml:15: profile "empty": deploy.kubeContext is empty`,
		`skaffold.yaml:16: profile "empty": deploy.tolerateFailuresUntilDeadline is empty`,
		`skaffold.yaml:17: profile "empty": deploy.statusCheckDeadlineSeconds is empty`)
}

func TestWhatExcludesOneAnotherIsReplaced(t *testing.T) {
	r := resolved(t, `build:
  tagPolicy: {gitCommit: {}}
  local: {push: true}
  artifacts: [{image: a}, {image: b}]
profiles:
- name: cloud
  build:
    tagPolicy: {sha256: {}}
    googleCloudBuild: {}
    artifacts: [{image: c}]
`, Activation{Profiles: []string{"cloud"}})
	expected := map[string]any{
		"tagPolicy":        map[string]any{"sha256": map[string]any{}},
		"googleCloudBuild": map[string]any{},
		"artifacts":        []any{map[string]any{"image": "c"}},
	}
	if d := cmp.Diff(expected, r.Config["build"]); d != "" {
		t.Error(d)
	}
}

func TestOriginIsTheLineThatSetIt(t *testing.T) {
	r := resolved(t, `manifests:
  rawYaml: [a.yaml]
deploy:
  kubeContext: base
profiles:
- name: p
  manifests:
    rawYaml:
    - b.yaml
    - c.yaml
  patches:
  - path: /deploy/kubeContext
    value: patched
  - op: add
    path: /manifests/output
    value: out
- name: q
  manifests: {output: late}
`, Activation{Profiles: []string{"p", "q"}})
	for path, expected := range map[string]string{
		"/manifests/rawYaml/1": "p 12",
		"/manifests/rawYaml":   "p 10",
		"/deploy/kubeContext":  "p 14",
		"/manifests/output":    "q 20",
		"/kind":                " 2",
	} {
		profile, line := r.Origin(path)
		if got := fmt.Sprint(profile, " ", line); got != expected {
			t.Errorf("%s comes from %q, not %q", path, got, expected)
		}
	}
}

func TestPatches(t *testing.T) {
	const base = `build:
  artifacts:
  - {image: gcr.io/api, docker: {dockerfile: A}}
  - {image: web, docker: {dockerfile: W, secrets: [{id: s}]}}
  - {image: web, context: again, docker: {dockerfile: W2, secrets: [{id: s}]}}
deploy: {kubectl: {defaultNamespace: one}}
profiles:
- name: p
  patches:
`
	for name, c := range map[string]struct{ patch, path, expected string }{
		"replace is the default": {"{path: /deploy/kubectl/defaultNamespace, value: two}",
			"deploy kubectl defaultNamespace", "two"},
		"add appends": {"{op: add, path: /build/artifacts/-, value: {image: new}}",
			"build artifacts 3 image", "new"},
		"add inserts": {"{op: add, path: /build/artifacts/0, value: {image: new}}",
			"build artifacts 1 image", "gcr.io/api"},
		"remove": {"{op: remove, path: /build/artifacts/0}", "build artifacts 0 image", "web"},
		"copy": {"{op: copy, from: /build/artifacts/0, path: /build/artifacts/1}",
			"build artifacts 1 image", "gcr.io/api"},
		"move": {"{op: move, from: /build/artifacts/1, path: /build/artifacts/0}",
			"build artifacts 0 docker dockerfile", "W"},
		"test holds": {"{op: test, path: /build/artifacts/0/image, value: gcr.io/api}",
			"build artifacts 0 image", "gcr.io/api"},
		"search": {"{path: /build/artifacts/image=web/docker/dockerfile, value: X}",
			"build artifacts 1 docker dockerfile", "X"},
		"search finds each": {"{path: /build/artifacts/image=web/docker/dockerfile, value: X}",
			"build artifacts 2 docker dockerfile", "X"},
		"search in what is found": {"{op: add, path: /build/artifacts/image=web/id=s/env, value: X}",
			"build artifacts 1 docker secrets 0 env", "X"},
		"search for a slash": {"{path: /build/artifacts/image=gcr.io~1api/docker/dockerfile, value: X}",
			"build artifacts 0 docker dockerfile", "X"},
		"search at any depth": {"{path: /image=gcr.io~1api/context, op: add, value: X}",
			"build artifacts 0 context", "X"},
		"a number where a text is": {"{path: /deploy/kubectl/defaultNamespace, value: 1}",
			"deploy kubectl defaultNamespace", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := resolved(t, base+"  - "+c.patch, Activation{Profiles: []string{"p"}})
			got, err := get(r.Config, strings.Fields(c.path))
			if err != nil || got != c.expected {
				t.Errorf("%v, %v; not %s", got, err, c.expected)
			}
		})
	}
	for patch, path := range map[string]string{
		"{path: /nowhere, value: 1}":                             "/nowhere: nowhere does not exist",
		"{op: add, path: build, value: 1}":                       "build: must begin with /",
		"{op: add, path: /build/artifacts/9, value: {image: a}}": "/build/artifacts/9: index 9",
		"{op: remove, path: /build/artifacts/-1}":                "/build/artifacts/-1: -1 does not exist",
		"{op: test, path: /build/artifacts/0/image, value: b}": "/build/artifacts/0/image: " +
			"test failed",
		"{op: copy, from: /x, path: /kind}":                                     "/kind: from: x does not exist",
		"{op: copy, from: /build/artifacts/0, path: /build/artifacts/99999999}": "/build/artifacts/99999999: index",
		"{path: /build/artifacts/image=none/docker, value: {}}":                 "/build/artifacts/image=none/docker: no match",
		"{op: append, path: /kind}":                                             `/kind: unknown op "append"`,
		"{op: add, path: /build/artifacts/0/image/x, value: 1}": "/build/artifacts/0/image/x: " +
			"cannot add",
	} {
		_, err := try(base+"  - "+patch, Activation{Profiles: []string{"p"}})
		if err == nil {
			t.Errorf("%s: no error", patch)
			continue
		}
		want(t, err.Error(), `skaffold.yaml:12: applying profile "p": invalid path: `+path)
	}
}

// Empty lists are dropped, so a patch cannot append to one (Skaffold's issue 2741).
func TestAppendingToAnEmptyList(t *testing.T) {
	const body = `manifests: {rawYaml: []}
profiles:
- name: p
  patches:
  - {op: add, path: /manifests/rawYaml/-, value: a.yaml}
`
	_, err := try(body, Activation{Profiles: []string{"p"}})
	if err == nil {
		t.Fatal("appended to a list that is not there")
	}
	want(t, err.Error(), "invalid path: /manifests/rawYaml/-", "add it as a whole first")

	whole := strings.Replace(body, "patches:\n",
		"patches:\n  - {op: add, path: /manifests, value: {rawYaml: [first.yaml]}}\n", 1)
	r := resolved(t, whole, Activation{Profiles: []string{"p"}})
	if d := cmp.Diff([]string{"first.yaml", "a.yaml"}, texts(r.Config, "manifests", "rawYaml")); d != "" {
		t.Error(d)
	}
}

func TestAPatchMaySetWhatIsNoField(t *testing.T) {
	r := resolved(t, `profiles:
- name: p
  patches:
  - {op: add, path: /manifest, value: {rawYaml: [a.yaml]}}
`, Activation{Profiles: []string{"p"}})
	want(t, warnings(r), `skaffold.yaml:5: a patch of profile "p" sets /manifest, which is not a field`)
}

func TestRequires(t *testing.T) {
	files := map[string]string{
		"db/skaffold.yaml": head + "metadata: {name: db}\nprofiles:\n- {name: small, deploy: {kubeContext: " +
			"small}}\n- {name: prod, deploy: {kubeContext: prod}}\n",
		"b.yaml":     head + "metadata: {name: b1}\n---\n" + head + "metadata: {name: b2}\n",
		"cycle.yaml": head + "metadata: {name: cycle}\nrequires: [{path: skaffold.yaml}]\n",
	}
	const top = head + `metadata: {name: top}
requires:
- path: db
  activeProfiles:
  - {name: small, activatedBy: [dev]}
- path: b.yaml
  configs: [b1]
profiles:
- {name: dev}
- {name: prod}
`
	resolve := func(t *testing.T, top string, a Activation) (string, error) {
		t.Helper()
		configs, err := Parse([]byte(top), "skaffold.yaml")
		if err != nil {
			t.Fatal(err)
		}
		all, err := Resolve(configs, a, func(name string) ([]byte, error) {
			if text, ok := files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		})
		var out []string
		for _, r := range all {
			out = append(out, fmt.Sprintf("%s[%s]%s", r.Name, fired(r), warnings(r)))
		}
		return strings.Join(out, " "), err
	}
	for name, c := range map[string]struct {
		a        Activation
		expected string
	}{
		"what is required comes first": {Activation{}, "db[] b1[] top[]"},
		"activated by a profile":       {Activation{Profiles: []string{"dev"}}, "db[small] b1[] top[dev]"},
		"names are passed on":          {Activation{Profiles: []string{"prod"}}, "db[prod] b1[] top[prod]"},
		"names are kept": {Activation{Profiles: []string{"prod"}, NoPropagate: true},
			"db[] b1[] top[prod]"},
		"a name of a required file": {Activation{Profiles: []string{"small"}}, "db[small] b1[] top[]"},
		"both, in Skaffold's own order": {Activation{Profiles: []string{"prod", "dev"}},
			"db[small prod] b1[] top[prod dev]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolve(t, top, c.a)
			if err != nil || got != c.expected {
				t.Errorf("%s, %v; not %s", got, err, c.expected)
			}
		})
	}
	for old, c := range map[string]struct{ new, err string }{
		"path: db": {"git: {repo: https://example.com/x}",
			"skaffold.yaml:5: requires git: nothing is fetched while rendering"},
		"path: b.yaml":  {"path: ../x.yaml", "skaffold.yaml:8: requires ../x.yaml: outside the project"},
		"configs: [b1]": {"configs: [b3]", `skaffold.yaml:8: requires b.yaml: it has no configuration "b3"`},
		"  configs: [b1]\n": {"- {path: db, activeProfiles: [{name: prod}]}\n",
			`"db" is required with profiles [] and with [prod]`},
		"name: top": {"name: b1", `has a configuration "b1" too`},
	} {
		_, err := resolve(t, strings.Replace(top, old, c.new, 1), Activation{})
		if err == nil {
			t.Errorf("%s: no error", c.new)
			continue
		}
		want(t, err.Error(), c.err)
	}
	_, err := resolve(t, top, Activation{Profiles: []string{"smal"}})
	if e, ok := err.(*UnknownProfileError); !ok || e.Suggestion != "small" {
		t.Errorf("%v; not an unknown profile with the suggestion small", err)
	}
	got, err := resolve(t, strings.Replace(top, "path: db", "path: cycle.yaml", 1), Activation{})
	if err != nil || got != `cycle[] b1[] top[]skaffold.yaml:7: cycle.yaml has no profile "small": requiring it changes nothing` {
		t.Errorf("a cycle: %s, %v", got, err)
	}
	got, err = resolve(t, strings.Replace(top, "name: small,", "name: smal,", 1),
		Activation{Profiles: []string{"dev"}})
	want(t, got, `db[] b1[] top[dev]skaffold.yaml:7: db/skaffold.yaml has no profile "smal"`)
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for body, expected := range map[string]string{
		head + "manifest: {}":                                `skaffold.yaml:3: unknown key "manifest" (did you mean "manifests"?)`,
		head + "build: {artifacts: [{image: a, dockr: {}}]}": `did you mean "docker"?`,
		head + "build:\n  artifacts:\n  - context: x":        `skaffold.yaml:5: build/artifacts/0/image is missing`,
		head + "build: {local: {}, cluster: {}}": "skaffold.yaml:3: local and cluster " +
			"are mutually exclusive",
		head + "deploy: {kubeContext: [a]}": "deploy/kubeContext must be a string",
		head + "manifests: {rawYaml: a}":    "manifests/rawYaml must be a list",
		head + "deploy: {statusCheckDeadlineSeconds: soon}": "deploy/statusCheckDeadlineSeconds must be an " +
			"integer",
		head + "kind: Config":                     `duplicate key "kind" (first in line 2)`,
		head + "profiles: [{name: a}, {name: a}]": `duplicate profile "a"`,
		head + "profiles: [{name: a, activation: [{env: A}]}]": "invalid env variable format: A, should be " +
			"KEY=VALUE",
		head + "build: [": "skaffold.yaml:3",
		"kind: Config":    "no apiVersion",
		"":                "the file is empty",
		"apiVersion: skaffold/v1beta99\nkind: Config": "skaffold.yaml:1: apiVersion skaffold/v1beta99 is too " +
			"old: `skaffold fix --overwrite`",
		"apiVersion: skaffold/v4beta15\nkind: Config": "is newer than skaffold/v4beta14",
		"apiVersion: apps/v1\nkind: Config":           "unknown apiVersion",
		head + "metadata: {name: a}\n---\n" + head +
			"metadata: {name: a}": `duplicate configuration "a"`,
		head + "metadata: {labels: &a [*a]}":                                                  "skaffold.yaml:3",
		head + "deploy: {helm: {releases: [{name: r, chartPath: c, overrides: &a {x: *a}}]}}": "more than 100000 values",
		head + "---\n---\n# nothing\n---\n" + "kind: Config":                                  "no apiVersion",
		bomb(): "more than 100000 values",
	} {
		configs, err := Parse([]byte(body), "skaffold.yaml")
		if err == nil {
			_, err = Resolve(configs, Activation{}, nil)
		}
		if err == nil {
			t.Errorf("no error in %q", body)
			continue
		}
		want(t, err.Error(), expected)
	}
}

// bomb grows tenfold with each line.
func bomb() string {
	b := head + ".a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		b += fmt.Sprintf(".a%d: &a%d [%s]\n", i+1, i+1,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return b + "deploy: {helm: {releases: [{name: r, chartPath: c, overrides: {a: *a8}}]}}\n"
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	r := resolved(t, `.docker: &docker {dockerfile: D, target: base}
build:
  artifacts:
  - image: a
    docker: {<<: *docker, target: own}
`, Activation{})
	expected := map[string]any{"artifacts": []any{map[string]any{"image": "a",
		"docker": map[string]any{"dockerfile": "D", "target": "own"}}}}
	if d := cmp.Diff(expected, r.Config["build"]); d != "" {
		t.Error(d)
	}
}
