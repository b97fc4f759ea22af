package kustomize_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/render/foldertest"
	"slipway/internal/render/kustomize"
	"slipway/internal/render/tree"
)

// treeOf is a tree of files.
func treeOf(t testing.TB, files map[string]string) *tree.Tree {
	t.Helper()
	return open(t, foldertest.Of(t, files))
}

func open(t testing.TB, dir string) *tree.Tree {
	t.Helper()
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func build(t testing.TB, files map[string]string, overlay string) (kustomize.Result, error) {
	t.Helper()
	root := treeOf(t, files)
	return kustomize.New(root).Build(root.View(t.Context()), overlay, kustomize.Options{})
}

func must(t testing.TB, files map[string]string, overlay string) kustomize.Result {
	t.Helper()
	r, err := build(t, files, overlay)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

// origins lists the objects with their origins.
func origins(r kustomize.Result) []string {
	var lines []string
	for _, o := range r.Objects {
		lines = append(lines, fmt.Sprintf("%s < %s", o.Ref(), o.Origin))
	}
	return lines
}

func TestOrigins(t *testing.T) {
	files := map[string]string{
		"k8s/base/kustomization.yaml": "resources: [all.yaml, list.yaml]\nsecretGenerator:\n- name: keys\n  " +
			"literals: [a=b]\n",
		"k8s/base/all.yaml": configMap("one") + "---\n# two\n---\r\n" + configMap("two") +
			"  annotations: {kept: yes please}\n",
		"k8s/base/list.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  " +
			"metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n",
		"k8s/prod/kustomization.yaml": "namePrefix: prod-\nresources:\n- ../base\n- " +
			"three.yaml\nconfigMapGenerator:\n- name: settings\n  literals: [x=y]\nsecretGenerator:\n- {name: keys, " +
			"behavior: merge, literals: [c=d]}",
		"k8s/prod/three.yaml": "\n\n" + configMap("three") + "---\napiVersion: v1\nkind: " +
			"ServiceList\nitems:\n\n- {apiVersion: v1, kind: Service, metadata: {name: c}}\n",
	}
	want := []string{
		"ConfigMap prod-one < k8s/base/all.yaml:1",
		"ConfigMap prod-settings-6gc9d749f7 < k8s/prod/kustomization.yaml:6",
		"ConfigMap prod-three < k8s/prod/three.yaml:3", "ConfigMap prod-two < k8s/base/all.yaml:8",
		"Secret prod-keys-t2c9d6t2h7 < k8s/base/kustomization.yaml:3",
		"Service prod-a < k8s/base/list.yaml:4", "Service prod-b < k8s/base/list.yaml:7",
		"Service prod-c < k8s/prod/three.yaml:12",
	}
	r := must(t, files, "k8s/prod")
	if diff := cmp.Diff(want, origins(r)); diff != "" {
		t.Error(diff)
	}
	for _, o := range r.Objects {
		if o.Ref().Name == "prod-two" {
			if diff := cmp.Diff(map[string]any{"kept": "yes please"}, o.Annotations()); diff != "" {
				t.Error(diff)
			}
		} else if o.At("metadata", "annotations") != nil {
			t.Errorf("%s has annotations: %v", o.Ref(), o.Annotations())
		}
	}
	files["k8s/prod/kustomization.yaml"] += "\nbuildMetadata: [originAnnotations]\n"
	r = must(t, files, "k8s/prod")
	if got := r.Objects[0].Annotations()["config.kubernetes.io/origin"]; got != "path: ../base/all.yaml\n" {
		t.Errorf("asked for, yet: %q", got)
	}
}

// A replacement that copies annotations copies none of our notes.
func TestAnnotationsAreTheUsersOwn(t *testing.T) {
	r := must(t, map[string]string{
		"k/kustomization.yaml": `resources: [a.yaml]
replacements:
- source: {kind: ConfigMap, name: a, fieldPath: metadata.annotations}
  targets:
  - select: {kind: ConfigMap, name: b}
    fieldPaths: [copied]
    options: {create: true}
`,
		"k/a.yaml": configMap("a") + "  annotations: {x: y1}\n---\n" + configMap("b"),
	}, "k")
	b := r.Objects[1]
	if diff := cmp.Diff(map[string]any{"x": "y1"}, b.At("copied")); diff != "" || b.Origin.Line != 7 {
		t.Error(diff, b.Origin)
	}
}

func TestWarnings(t *testing.T) {
	files := map[string]string{
		"base/kustomization.yaml":   "resources: [a.yaml]\nvars: []\n",
		"base/a.yaml":               configMap("a"),
		"second/kustomization.yaml": "resources: [../base]\nnamePrefix: second-\n",
		"overlays/prod/kustomization.yml": "bases:\n- ../../base\n- ../../second\ncommonLabels:\n  env: " +
			"prod\nimages: [{name: 'my(app', newTag: x}]\n",
	}
	want := []string{
		"overlays/prod/kustomization.yml:1: bases is deprecated: use resources",
		"overlays/prod/kustomization.yml:4: commonLabels is deprecated: it also writes selectors, which cannot " +
			"change later: use labels with includeSelectors: false",
		"base/kustomization.yaml:2: vars is deprecated: use replacements",
		`overlays/prod/kustomization.yml:6: images: "my(app" is not a valid pattern and matches no image`,
	}
	root := treeOf(t, files)
	b := kustomize.New(root)
	for range 2 { // the second time, the base comes from memory
		r, err := b.Build(root.View(t.Context()), "overlays/prod", kustomize.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range r.Losses {
			if l.Kind == object.Deprecated {
				got = append(got, l.Origin.String()+": "+l.Text)
			}
		}
		if diff := cmp.Diff(want, append(got, r.Warnings...)); diff != "" {
			t.Error(diff)
		}
	}
}

// A shared base is read once, is not changed by overlays, and is among the reads of each.
func TestSharedBase(t *testing.T) {
	root := treeOf(t, map[string]string{
		"base/kustomization.yaml": "resources: [a.yaml]\nconfigMapGenerator: [{name: g, files: [data.txt]}]\n",
		"base/a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: " +
			"{spec: {containers: [{name: a, image: a:1, envFrom: [{configMapRef: {name: g}}]}]}}}\n",
		"base/data.txt": "x",
		"dev/kustomization.yaml": "resources: [../base]\nnamePrefix: dev-\nimages: [{name: a, newTag: " +
			"dev}]\npatches:\n- target: {kind: Deployment}\n  patch: '[{\"op\": \"add\", \"path\": " +
			"\"/spec/replicas\", \"value\": 2}]'\n",
		"prod/kustomization.yaml": "resources: [../base]\nnamespace: prod\nlabels: [{pairs: {env: prod}, " +
			"includeSelectors: true}]\n",
	})
	b := kustomize.New(root)
	first := map[string]string{}
	for range 3 {
		for _, env := range []string{"dev", "prod"} {
			v := root.View(t.Context())
			r, err := b.Build(v, env, kustomize.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var read []string
			for _, s := range v.Reads().List() {
				if s.Kind == tree.File {
					read = append(read, s.Path)
				}
			}
			want := []string{"base/a.yaml", "base/data.txt", "base/kustomization.yaml", env + "/kustomization.yaml"}
			if diff := cmp.Diff(want, read); diff != "" {
				t.Error(diff)
			}
			out := text(t, r.Objects)
			if first[env] == "" {
				first[env] = out
			}
			if diff := cmp.Diff(first[env], out); diff != "" {
				t.Error(diff)
			}
		}
	}
	if !strings.Contains(first["dev"], "image: a:dev") || !strings.Contains(first["prod"], "image: a:1") ||
		strings.Contains(first["prod"], "replicas") {
		t.Error(first)
	}
}

// A cached base may still include the overlay that includes it.
func TestSharedBaseInACircle(t *testing.T) {
	root := treeOf(t, map[string]string{
		"a/kustomization.yaml":    "namePrefix: a-\nconfigMapGenerator: [{name: c}]\n",
		"base/kustomization.yaml": "resources: [../a]\n",
		"x/kustomization.yaml":    "resources: [../base]\n", "a/b/kustomization.yaml": "resources:\n- ../../base\n",
	})
	b := kustomize.New(root)
	if _, err := b.Build(root.View(t.Context()), "x", kustomize.Options{}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Build(root.View(t.Context()), "a/b", kustomize.Options{})
	if err == nil || err.Error() != "a/b/kustomization.yaml:2: resources: a closes a cycle: it is or "+
		"contains the directory of a/b/kustomization.yaml, which leads here" {
		t.Error(err)
	}
}

func TestSideBySide(t *testing.T) {
	root := treeOf(t, map[string]string{
		"custom/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\n",
		"custom/a.yaml":             configMap("a"), "custom/schema.json": `{"definitions": {}}`,
		"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap("a"),
		"x/kustomization.yaml": "resources: [../base]\nnamePrefix: x-\n",
		"y/kustomization.yaml": "resources: [../base, ../x]\nnameSuffix: -y\n",
	})
	b := kustomize.New(root)
	var all sync.WaitGroup
	for i := range 12 {
		overlay := []string{"custom", "x", "y", "base"}[i%4]
		all.Go(func() {
			if _, err := b.Build(root.View(t.Context()), overlay, kustomize.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestBuildStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root := open(t, "../../../examples/myapp")
	if _, err := kustomize.New(root).Build(root.View(ctx), "k8s/overlays/dev", kustomize.Options{}); !errors.Is(
		err, context.Canceled) {
		t.Error(err)
	}
}

// breaking is a context that panics in the middle of a build.
type breaking struct {
	context.Context
	asked int
}

func (b *breaking) Err() error {
	if b.asked++; b.asked == 3 {
		panic("out of nowhere")
	}
	return nil
}

func TestFault16PanicLeavesNoLock(t *testing.T) {
	root := open(t, "../../../examples/myapp")
	b := kustomize.New(root)
	for range 2 {
		func() {
			defer func() {
				if v := recover(); v != "out of nowhere" {
					t.Errorf("%v", v)
				}
			}()
			_, err := b.Build(root.View(&breaking{Context: t.Context()}), "k8s/overlays/prod", kustomize.Options{})
			t.Error(err)
		}()
	}
	if _, err := b.Build(root.View(t.Context()), "k8s/overlays/prod", kustomize.Options{}); err != nil {
		t.Error(err)
	}
}

// Extra objects pass through the overlay like its own, and keep their origin.
func TestExtra(t *testing.T) {
	root := treeOf(t, map[string]string{
		"k/kustomization.yaml": "namespace: web\npatches:\n- target: {kind: ConfigMap}\n  patch: '[{\"op\": " +
			"\"add\", \"path\": \"/data/y\", \"value\": \"1\"}]'\n",
	})
	extra := []object.Object{{Body: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"},
		"data": map[string]any{"x": "no"}, "n": []any{int64(1), 1.5, true, nil, "2020-01-01", "a\nb"},
	}, Origin: object.Origin{File: "chart/a.yaml", Line: 3}}}
	r, err := kustomize.New(root).Build(root.View(t.Context()), "k", kustomize.Options{Extra: extra})
	if err != nil {
		t.Fatal(err)
	}
	want := []object.Object{{Body: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": "web"},
		"data": map[string]any{"x": "no", "y": "1"}, "n": []any{int64(1), 1.5, true, nil, "2020-01-01", "a\nb"},
	}, Origin: object.Origin{File: "chart/a.yaml", Line: 3}}}
	if diff := cmp.Diff(want, r.Objects, cmp.AllowUnexported(object.Object{})); diff != "" {
		t.Error(diff)
	}
}

// Charts are passed to Inflate with the values that Kustomize computes for them.
func TestCharts(t *testing.T) {
	root := treeOf(t, map[string]string{
		"base/kustomization.yaml": "helmGlobals: {chartHome: charts}\nhelmCharts:\n- name: web\n  releaseName: " +
			"w\n  valuesInline: {a: {b: 2}, list: [3]}\n  additionalValuesFiles: [more.yaml]\n",
		"base/more.yaml": "", "base/charts/web/values.yaml": "a: {b: 1, c: 1}\nlist: [1, 2]\n",
		"k/kustomization.yaml": "namespace: web\nresources: [../base]\nnamePrefix: k-\n",
	})
	var asked []kustomize.Chart
	o := kustomize.Options{Inflate: func(_ *tree.View, c kustomize.Chart) ([]object.Object, error) {
		asked = append(asked, c)
		return []object.Object{{Body: map[string]any{"apiVersion": "v1", "kind": "Service",
			"metadata": map[string]any{"name": "w", "namespace": "own"}}}}, nil
	}}
	b := kustomize.New(root)
	for range 2 {
		r, err := b.Build(root.View(t.Context()), "k", o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"Service own/k-w < "}, origins(r)); diff != "" {
			t.Error(diff)
		}
	}
	if len(asked) != 2 {
		t.Fatalf("asked %d times", len(asked))
	}
	c := asked[0]
	want := map[string]any{"a": map[string]any{"b": 2, "c": 1}, "list": []any{3}}
	if diff := cmp.Diff(want, c.Values); diff != "" || c.Dir != "base/charts/web" || c.Namespace != "web" ||
		c.AdditionalValuesFiles[0] != "base/more.yaml" {
		t.Error(diff, c)
	}
}

// Cases beyond the conformance cases, as kustomize 5.8.2 builds them.
func TestOddities(t *testing.T) {
	for name, c := range map[string]struct{ kustomization, resources, want string }{
		"a Role elsewhere has the same name": {"namePrefix: p-\n",
			"apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: " +
				"a}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: " +
				"ServiceAccount, name: s, namespace: other}]\n---\n" +
				"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: " +
				"other}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: s, namespace: other}\n",
			"p-s [r p-s]"},
		"a list that is null": {"images: [{name: none, newTag: yy}]\n", "apiVersion: v1\nkind: Pod\nmetadata: " +
			"{name: p}\nspec: {initContainers: null, containers: [{name: x, image: x}]}\n",
			"p [map[containers:[map[image:x name:x]] initContainers:[]]]"},
		"a number as an annotation": {"namePrefix: p-\n",
			"apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {a: 5, b: null}}\n", "p-p [map[a:5 b:null]]"},
		"an empty list of annotations": {"namePrefix: p-\n",
			"apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {}}\n", "p-p []"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must(t, map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\n" + c.kustomization,
				"k/a.yaml": c.resources}, "k")
			var seen []any
			for _, o := range r.Objects {
				if v := o.At("roleRef", "name"); v != nil {
					s := object.Object{Body: o.At("subjects").([]any)[0].(map[string]any)}
					seen = append(seen, v, s.At("name"))
				}
				for _, v := range []any{o.At("spec"), o.At("metadata", "annotations")} {
					if v != nil {
						seen = append(seen, v)
					}
				}
			}
			if got := fmt.Sprint(r.Objects[0].Ref().Name, " ", seen); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// text returns the output of the command.
func text(t testing.TB, objects []object.Object) string {
	t.Helper()
	var all bytes.Buffer
	for i, o := range objects {
		one, err := o.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			all.WriteString("---\n")
		}
		all.Write(one)
	}
	return all.String()
}

// A generator's key may look like a number, a boolean or null, in a base and where an overlay merges it.
func TestGeneratedKeysAreStrings(t *testing.T) {
	r := must(t, map[string]string{
		"base/kustomization.yaml": "generatorOptions: {disableNameSuffixHash: true}\nconfigMapGenerator:\n" +
			"- {name: c, files: [\"503\"], literals: [2.50=a, no=b, \"null=c\"]}\n" +
			"secretGenerator:\n- {name: s, literals: [0700=a]}\n",
		"base/503": "down",
		"prod/kustomization.yaml": "resources: [../base]\ngeneratorOptions: {disableNameSuffixHash: true}\n" +
			"namePrefix: p-\nconfigMapGenerator:\n- {name: c, behavior: merge, literals: [2.50=z, 7=d]}\n",
	}, "prod")
	want := map[string]any{"503": "down", "2.50": "z", "no": "b", "null": "c", "7": "d"}
	for _, o := range r.Objects {
		if o.Ref().Kind == "Secret" {
			want = map[string]any{"0700": "YQ=="}
		}
		if diff := cmp.Diff(want, o.At("data")); diff != "" {
			t.Errorf("%s: %s", o.Ref(), diff)
		}
	}
}
