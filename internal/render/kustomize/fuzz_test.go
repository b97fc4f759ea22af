package kustomize

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/object"
	"slipway/internal/render/tree"
)

// The build of any kustomization ends without a panic and shows nothing from outside the tree.
func FuzzKustomization(f *testing.F) {
	for _, text := range []string{
		"resources: [a.yaml, b.yaml]\nnamespace: x\nnamePrefix: p-\nlabels: [{pairs: {a: b}, includeSelectors: " +
			"true}]\n",
		"resources: [a.yaml]\npatches: [{path: b.yaml}, {target: {kind: .*}, patch: '[{\"op\": \"add\", " +
			"\"path\": \"/spec/x\", \"value\": 1}]'}]\n",
		"resources: [a.yaml]\nimages: [{name: app, newTag: x}]\nreplicas: [{name: app, count: " +
			"3}]\ncommonAnnotations: {a: b}\n",
		"resources: [a.yaml, ../../outside.yaml, /etc/passwd, .., https://example.com/x]\n",
		"configMapGenerator: [{name: c, files: [a.yaml, x=../../outside.yaml], literals: [a=b], envs: [e]}]\n",
		"resources: [a.yaml]\nvars: [{name: V, objref: {apiVersion: v1, kind: Service, name: " +
			"app}}]\nsortOptions: {order: fifo}\n",
		"resources: [a.yaml, b.yaml]\nreplacements: [{source: {kind: Service, fieldPath: metadata.name}, " +
			"targets: [{select: {kind: Deployment}, fieldPaths: [metadata.labels.x], options: {create: true}}]}]\n",
		"generators: [g.yaml]\ntransformers:\n- |\n  apiVersion: builtin\n  kind: PrefixTransformer\n  metadata: " +
			"{name: p}\n  prefix: q\n  fieldSpecs: [{path: metadata/name}]\n",
		"crds: [a.yaml]\nconfigurations: [b.yaml]\nopenapi: {path: a.yaml}\nhelmCharts: [{name: x}]\n",
		"a: &a {b: *a}\n", "<<: [{resources: [a.yaml]}]\n", "kind: Component\ncomponents: [.]\n",
	} {
		f.Add(text)
	}
	dir := f.TempDir()
	k := filepath.Join(dir, "project", "k")
	if err := os.MkdirAll(k, 0o755); err != nil {
		f.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {template: " +
			"{spec: {containers: [{name: app, image: app:1}]}}}\n",
		"b.yaml":             "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {selector: {app: app}}\n",
		"../../outside.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stolen}\n",
	} {
		if err := os.WriteFile(filepath.Join(k, name), []byte(text), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(k, "kustomization.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		root, err := tree.Open(filepath.Dir(k), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := New(root).Build(root.View(ctx), "k", Options{})
		if ctx.Err() != nil {
			t.Fatal("it does not end")
		}
		for _, o := range r.Objects {
			if out, err := o.YAML(); err != nil || strings.Contains(string(out), "stolen") &&
				!strings.Contains(text, "stolen") {
				t.Errorf("%s %v", out, err)
			}
		}
		if err == nil && len(r.Objects) == 0 && strings.Contains(text, "outside") {
			t.Log("nothing")
		}
	})
}

var (
	huge   = regexp.MustCompile(`\b\d{19,}\b`)
	breaks = regexp.MustCompile(`\x{0085}|\\u2028|\\u2029`)
)

// A resource converts to the value that the library prints.
func FuzzBody(f *testing.F) {
	const head = "apiVersion: v1\nkind: X\nmetadata: {name: x}\n"
	for _, text := range []string{
		"a: [1, 1.0, 1e3, 0x1f, 0o17, 017, 1_000, -0, +1, .5, 1e400, 9007199254740993, 0b11, -0x1]\n",
		"a: [yes, No, on, y, n, ~, null, true, False, '', \"\", 'yes', \"1\", '2020-01-01', 2020-01-01, " +
			"2020-01-01T10:00:00Z, 12:30:45]\n",
		"a: |\n  x\n   y\n\n  z  \nb: >\n  folded\n  text\n\n   more\nc: |+\n  keep\n\nd: |-\n  strip\n",
		"a: \"tab\\tnl\\nnel\\u0085ls\\u2028bom\\ufeffemoji\\U0001F600del\\x7f\"\nb: ' lead'\nc: 'trail '\nd: " +
			"\"\\n\"\ne: \"a\\r\\nb\"\n",
		"a: !!str 1\nb: !!int '1'\nc: !!float 1\nd: !!binary aGVsbG8=\ne: !custom x\nf: !!null ''\n",
		"a: {}\nb: []\nc:\nd: {e: {f: [[], {}, [1, [2]]]}}\n", "1: a\ntrue: b\n", "a: {1: b}\n", "a: {<<: b}\n",
		"'<<': a\n", "a: 1\na: 2\n",
		"!0 :", "~:", "0: [0000-1-1T0:0:0Z]", "0: >\n 0\n  00", "X: !0 A\nY: !!null 00", "0: \"0\\u00850\"",
		"a: [&0, 0]", "a: [1,&0:0]",
		"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n",
		"a: '- x'\nb: '#x'\nc: 'a: b'\nd: '@x'\ne: '%x'\nf: '*x'\ng: '!x'\nh: '='\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, _, err := parse([]byte(head+text), "x.yaml")
		if err != nil || len(list) != 1 {
			return
		}
		want, wantErr := list[0].DeepCopy().AsYAML()
		body, err := bodyOf(list[0].YNode())
		if wantErr != nil || err != nil {
			// The library cannot read control characters that it has written itself, and loses keys that are
			// null.
			unlike := wantErr == nil && !strings.Contains(err.Error(), "must be a string") ||
				err == nil && !strings.Contains(wantErr.Error(), "control characters")
			if unlike {
				t.Fatalf("got %v, want %v", err, wantErr)
			}
			return
		}
		got, err := object.Object{Body: body}.YAML()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if huge.Match(want) || breaks.Match(plain) { // bodies hold no integers above 2^63, and keep odd line breaks
			return
		}
		if strings.ReplaceAll(string(got), `"<<"`, "<<") != strings.ReplaceAll(string(want), `"<<"`, "<<") {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
