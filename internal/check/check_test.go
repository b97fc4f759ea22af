package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// toys are rules that are easily broken: each Deployment breaks them.
const toys = `rules:
  - id: replicas
    severity: error
    title: t
    kinds: [Deployment.apps]
    field: spec.replicas
    expression: "false"
    messageExpression: string(object.metadata.name) + " has " + string(object.spec.replicas)
  - id: only-prod
    classes: [production]
    title: t
    kinds: [Deployment.apps]
    field: spec.template.spec.containers[name=b].image
    expression: "false"
    message: x
`

// toyGroups find overrides and what breaks the toys.
var toyGroups = []group{{all: overrides}, {each: objectRules}}

func checkFolder(t *testing.T, groups []group, files map[string]string) (Report, error) {
	t.Helper()
	p, err := project.Open(foldertest.Of(t, files))
	if err != nil {
		t.Fatal(err)
	}
	r, err := render.Open(p.Dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rules, err := rule.Load(rule.File{Name: "toys.yaml", Text: []byte(toys)})
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return runGroups(t.Context(), Input{Project: p, Environments: append(p.Environments, p.Others...),
		Renderer: r, Rules: rules, Now: day}, groups)
}

// lines is a report as text, one finding a line, without Slipway's own rules over one object.
func lines(r Report) string {
	others := map[string]bool{}
	if all, err := rule.Load(); err == nil {
		for _, r := range all.Rules() {
			others[r.ID] = r.Group == "must not ship" || r.Group == "must exist"
		}
	}
	var b strings.Builder
	for _, f := range r.Findings {
		if others[f.Rule] {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s %s\n", f.Rule, f.Place, strings.Join(f.Environments, ","), f.Message)
	}
	for _, u := range r.Unchecked {
		if id, ok := strings.CutPrefix(u.What, "rule "); ok && others[id] {
			continue
		}
		fmt.Fprintf(&b, "unchecked %s %s\n", u.Place, u.What)
	}
	if r.Accepted > 0 {
		fmt.Fprintf(&b, "accepted %d\n", r.Accepted)
	}
	return b.String()
}

const deployment = `apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: a
          image: x
        - name: b
`

func TestRun(t *testing.T) {
	base := map[string]string{
		"k8s/base/web.yaml":                       deployment,
		"k8s/base/kustomization.yaml":             "resources: [web.yaml]\n",
		"k8s/overlays/dev/kustomization.yaml":     "resources: [../../base]\n",
		"k8s/overlays/prod/kustomization.yaml":    "resources: [../../base]\nnamePrefix: prod-\n",
		"k8s/overlays/staging/kustomization.yaml": "resources: [../../gone]\n",
	}
	with := func(more map[string]string) map[string]string {
		files := map[string]string{}
		for _, m := range []map[string]string{base, more} {
			for k, v := range m {
				files[k] = v
			}
		}
		return files
	}
	file := func(exceptions string) map[string]string {
		return with(map[string]string{"slipway.yaml": "project: web\nenvironments:\n  dev: {path: " +
			"k8s/overlays/dev}\n  prod: {path: k8s/overlays/prod}\nexceptions:\n" + exceptions})
	}
	const both = "replicas k8s/base/web.yaml:9:3 dev,prod web has 1\n"
	const prod = "only-prod k8s/base/web.yaml:15:11 prod x\n"
	broken := "render k8s/overlays/staging/kustomization.yaml:1 staging "
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one finding for what is written once, a broken environment beside it": {with(nil), both + broken + prod},
		"a chart beside the overlays": {with(map[string]string{
			"k8s/overlays/staging/kustomization.yaml": "resources: [../../base]\n",
			"chart/Chart.yaml":                        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
			"values-prod.yaml":                        "count: 2\n",
			"chart/templates/d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: " +
				"replicas\nspec:\n  replicas: {{ .Values.count }}\n"}),
			"replicas k8s/base/web.yaml:9:3 dev,staging,prod web has 1\n" +
				"replicas values-prod.yaml:1:1 chart-prod replicas has 2\n" +
				"only-prod chart/templates/d.yaml:5:1 chart-prod x\n" + prod},
		"one beside the overlays that does not render": {with(map[string]string{
			"k8s/overlays/staging/kustomization.yaml": "resources: [../../base]\n",
			"chart/Chart.yaml":                        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
			"values-prod.yaml":                        "count: 2\n",
			"chart/templates/d.yaml":                  "{{ required \"no\" .Values.m }}"}),
			"replicas k8s/base/web.yaml:9:3 dev,staging,prod web has 1\n" + prod +
				"unchecked chart/templates/d.yaml:1 everything\n"},
		"excepted as rendered, in one environment": {file(
			"  - {rule: replicas, object: Deployment/prod-web, reason: r}\n"),
			"replicas k8s/base/web.yaml:9:3 dev web has 1\n" + prod + "accepted 1\n"},
		"excepted as written": {file("  - {rule: replicas, object: Deployment/web, reason: r}\n"),
			prod + "accepted 2\n"},
		"excepted by environment": {file("  - {rule: replicas, environments: [dev], reason: r}\n"),
			"replicas k8s/base/web.yaml:9:3 prod prod-web has 1\n" + prod + "accepted 1\n"},
		"excepted by a field above": {file("  - {rule: only-prod, field: spec.template, reason: r}\n"),
			both + "accepted 1\n"},
		"a field that begins alike": {file("  - {rule: replicas, field: spec.rep, reason: r}\n"),
			both + prod + "exception-unused slipway.yaml:6  the exception from replicas matches no finding\n"},
		"the last day": {file("  - {rule: replicas, until: 2026-11-23, reason: r}\n"), prod + "accepted 2\n"},
		"the day after it": {file("  - {rule: replicas, until: 2026-11-22, reason: r}\n"),
			both + prod + "exception-expired slipway.yaml:6  the exception from replicas expired on 2026-11-22: its " +
				"findings are reported again (r)\n"},
		"compare's own": {file("  - {field: spec.replicas, reason: r}\n"), both + prod},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := checkFolder(t, toyGroups, c.files)
			if err != nil {
				t.Fatal(err)
			}
			got := lines(r)
			if i := strings.Index(got, broken); i >= 0 {
				got = got[:i+len(broken)] + got[i+strings.Index(got[i:], "\n")+1:]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("an unknown rule", func(t *testing.T) {
		_, err := checkFolder(t, toyGroups, file("  - {rule: replica, reason: r}\n"))
		if want := `read slipway.yaml: line 6: exception for unknown rule "replica" (did you mean "replicas"?)`; err == nil || err.Error() != want {
			t.Errorf("got %v", err)
		}
	})
}

// What is secret in an environment is in no finding.
func TestSecrets(t *testing.T) {
	leak := finding.Rule{ID: "leak", Severity: finding.Error}
	groups := []group{{each: func(_ *subject, e *environment) found {
		var all []finding.Finding
		for _, o := range e.objects {
			f := leak.New(o, "stringData.key", "it is %v", o.At("stringData", "key"))
			f.Fix = "not hunter2hunter2"
			all = append(all, f)
		}
		return found{findings: all}
	}}}
	r, err := checkFolder(t, groups,
		map[string]string{"k8s/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  key: " +
			"hunter2hunter2\n"})
	if err != nil || len(r.Findings) != 1 {
		t.Fatal(r, err)
	}
	f := r.Findings[0]
	if f.Message != "it is "+object.Hidden || f.Fix != "not "+object.Hidden ||
		f.Place.String() != "k8s/s.yaml:5:3" {
		t.Errorf("%+v", f)
	}
}

// Generated objects are placed at their generator, and called as it calls them.
func TestWritten(t *testing.T) {
	named := finding.Rule{ID: "replicas", Severity: finding.Error}
	r, err := checkFolder(t, []group{{each: func(_ *subject, e *environment) found {
		var all []finding.Finding
		for _, o := range e.objects {
			all = append(all, named.New(o, "data.A", "%s", o.Ref().Name))
		}
		return found{findings: all}
	}}}, map[string]string{
		"overlays/a-dev/kustomization.yaml": "configMapGenerator:\n  - name: other\n    literals: [A=1]\n  - " +
			"name: web\n    literals: [A=1]\n",
		"slipway.yaml": "project: web\nenvironments:\n  dev: {path: overlays/a-dev}\nexceptions:\n  - {rule: " +
			"replicas, object: ConfigMap/web, reason: r}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(r); !strings.HasPrefix(got, "replicas overlays/a-dev/kustomization.yaml:") ||
		!strings.Contains(got, " dev other-") || !strings.HasSuffix(got, "accepted 1\n") {
		t.Error(got)
	}
}
