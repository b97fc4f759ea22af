package origin

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/foldertest"
)

// Overrides that are tried in groups have the effects that each has alone: in this repository's projects, and
// in random ones whose overrides depend on each other.
func TestGroups(t *testing.T) {
	const repos = "../../../cmd/slipway/testdata/repos"
	entries, err := os.ReadDir(repos)
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{"../../../examples/myapp", "../../../examples/tutorial"}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(repos, e.Name()))
		}
	}
	grouped, mutated := 0, 0
	count := func(dir string) {
		g, m := compared(t, dir)
		grouped, mutated = grouped+g, mutated+m
	}
	for _, dir := range dirs {
		count(dir)
	}
	for seed := range uint64(40) {
		count(foldertest.Of(t, tangle(rand.New(rand.NewPCG(seed, 1)))))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if grouped < 200 || mutated < 200 {
		t.Errorf("only %d removed and %d mutated overrides were tried in groups", grouped, mutated)
	}
}

func compared(t *testing.T, dir string) (grouped, mutated int) {
	t.Helper()
	p, err := project.Open(dir)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	r, err := render.Open(p.Dir, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range p.Environments {
		x, err := newExperiment(t.Context(), r, env, Options{Budget: time.Minute})
		if err != nil {
			t.Logf("%s, %s: %v", dir, env.Name, err)
			continue
		}
		g, m := comparedOn(t, x, x.whole())
		grouped, mutated = grouped+g, mutated+m
		removed := x.overrides[len(x.overrides)/2:][:min(1, len(x.overrides))]
		if parts, err := renderWith(t.Context(), x, x.whole(), removed); err == nil {
			g, m := comparedOn(t, x, baseline{removed, parts})
			grouped, mutated = grouped+g, mutated+m
		}
		if t.Failed() {
			t.Fatalf("%s, %s", dir, env.Name)
		}
	}
	return grouped, mutated
}

// comparedOn compares the effects of overrides that are tried in groups with those of each override alone.
func comparedOn(t *testing.T, x experiment, base baseline) (shared, mutated int) {
	t.Helper()
	all := without(x.overrides, base.removed)
	alone := func(o Override, mutations ...*mutation) Effect {
		m := member{o, reach{}}
		effects, _ := tryOnce(t.Context(), x, trial{newGroup(m), mutations}, base)
		return effects[0]
	}
	same := func(e, alone Effect) {
		if (e.Err == nil) != (alone.Err == nil) {
			t.Errorf("%s, without %v: alone %v, shared %v", e.Override, base.removed, alone.Err, e.Err)
		}
		ignore := cmpopts.IgnoreUnexported(Change{})
		if diff := cmp.Diff(alone.Changes, e.Changes, ignore, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, without %v:\n%s", e.Override, base.removed, diff)
		}
	}
	groups, idle := grouped(x, all, base)
	for _, g := range groups {
		if len(g.members) > 1 {
			idle = append(idle, g.overrides()...)
		}
	}
	isAlone := func(e Effect) bool {
		return !slices.ContainsFunc(idle, func(o Override) bool { return o.rank == e.rank })
	}
	effects, left := remove(t.Context(), x, all, base)
	for _, e := range slices.DeleteFunc(slices.Clone(effects), isAlone) {
		shared++
		same(e, alone(e.Override))
	}
	changed, more := mutateEach(t.Context(), x, all, base)
	for _, e := range slices.DeleteFunc(slices.Clone(changed), isAlone) {
		if m := mutate(e.Override); m != nil {
			mutated++
			same(e, alone(e.Override, m))
		}
	}
	if len(left)+len(more) > 0 || len(effects) != len(all) || len(changed) != len(all) {
		t.Errorf("not tried: %v, %v", left, more)
	}
	return shared, mutated
}

// tangle is a project with a few services whose overrides meet in many ways.
func tangle(r *rand.Rand) map[string]string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	name := func() string { return pick("api", "bot", "cat", "dog", "x-api", "api-y") }
	files := map[string]string{}
	var bases string
	for _, n := range []string{"api", "bot", "cat", "dog"} {
		files["base/"+n+"/app.yaml"] = strings.ReplaceAll(thing, "NAME", n)
		files["base/"+n+"/kustomization.yaml"] = "resources: [app.yaml]\nlabels:\n- pairs: {tier: " + pick("web",
			"back") + "}\n" +
			pick("", "namePrefix: x-\n", "commonAnnotations: {by: "+n+"}\n", "images:\n- {name: "+n+", newTag: '1'}\n")
		bases += "- " + n + "\n"
	}
	files["base/kustomization.yaml"] = "resources:\n" + bases + pick("", "nameSuffix: -y\n",
		"replicas:\n- {name: api, count: 2}\n- {name: bot, count: 1}\n- {name: cat, count: 4}\n")
	var overlay strings.Builder
	overlay.WriteString("resources: [../base]\n" + pick("", "namePrefix: p-\n", "namespace: q\n"))
	if r.IntN(6) == 0 {
		overlay.WriteString("replacements:\n- source: {kind: Deployment, name: api, fieldPath: spec.replicas}\n  " +
			"targets:\n  - select: {kind: Deployment, name: bot}\n    fieldPaths: [spec.replicas]\n")
	}
	overlay.WriteString("configMapGenerator:\n- name: settings\n  literals: [LOG=info]\nimages:\n")
	for range 6 {
		fmt.Fprintf(&overlay, "- {name: %s, %s}\n", pick("api", "bot", "cat", "dog", "reg/api"),
			pick("newTag: '2'", "newName: reg/api", "newName: bot", "newTag: '1'"))
	}
	overlay.WriteString("replicas:\n")
	most := 1 + 3*r.IntN(2) // 1: as the base says
	for _, n := range []string{"api", "bot", "dog"} {
		fmt.Fprintf(&overlay, "- {name: %s, count: %d}\n", n, 1+r.IntN(most))
	}
	overlay.WriteString("patches:\n")
	for i := range 6 {
		kind, n := pick("Deployment", "Deployment", "ConfigMap"), name()
		text := fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, labels: {n%d: %s}}\n", n,
			i, pick("one", "two"))
		switch r.IntN(15) {
		case 0, 1, 2, 3, 4, 5, 6:
			fmt.Fprintf(&overlay, `- target: {kind: %s, name: %s}
  patch: '[{"op": "add", "path": "/metadata/labels/n%d", "value": "z"}]'
`, kind, n, i%3)
		case 14:
			fmt.Fprintf(&overlay, `- target: {kind: Deployment, name: %s}
  patch: '[{"op": "replace", "path": "/metadata/name", "value": "%s"}]'
  options: {allowNameChange: true}
`, n, pick("k", n))
		default:
			fmt.Fprintf(&overlay, "- target: {kind: Deployment, name: %s}\n  path: patch%d.yaml\n", n, i)
			files[fmt.Sprintf("prod/patch%d.yaml", i)] = text
		}
	}
	files["prod/kustomization.yaml"] = overlay.String()
	files["slipway.yaml"] = "project: shop\nenvironments:\n  prod: {path: prod}\n"
	return files
}

const thing = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME}}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - {name: main, image: NAME, envFrom: [{configMapRef: {name: settings}}, {configMapRef: {name: NAME}}]}
      - {name: side, image: 'bot:1'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, labels: {app: NAME}}
data: {a: b}
`
