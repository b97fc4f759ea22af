package helm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/tree"
)

// TestFaults renders charts with a fault: each gives one error with file and line, and no output.
func TestFaults(t *testing.T) {
	bad := func(text string) string { return meta + "-- templates/a.yaml --\n" + text }
	for name, c := range map[string]struct{ files, want string }{
		"no chart": {"-- values.yaml --\na: b\n", "Chart.yaml: no such file: not a chart"},
		"broken Chart.yaml": {"-- Chart.yaml --\nname: web\n  version: 1\n",
			"Chart.yaml:2: mapping values are not allowed"},
		"library": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.0.0\ntype: library\n",
			"Chart.yaml:4: a library chart"},
		"version of Kubernetes": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: " +
			"'>=2.0.0'\n", "Chart.yaml:4: the chart requires Kubernetes >=2.0.0, not v1.37.0"},
		"missing dependency": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: " +
			"1.0.0\ndependencies:\n- name: db\n  version: 1.0.0\n",
			`Chart.yaml:5: dependency db 1.0.0 from "": it is not in charts/: run helm dependency build`},
		"dependency outside": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: " +
			"1.0.0\ndependencies:\n- name: db\n  version: 1.0.0\n  repository: file://../../db\n",
			`Chart.yaml:5: dependency db 1.0.0 from "file://../../db": outside the project`},
		"depends on itself": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: " +
			"1.0.0\ndependencies:\n- name: web\n  version: 1.0.0\n  repository: file://.\n",
			"Chart.yaml: the chart depends on itself"},
		"broken values.yaml": {meta + "-- values.yaml --\na: b\nc: [\n",
			"values.yaml:3: did not find expected node content"},
		"values are a list": {meta + "-- values.yaml --\n- a\n",
			"values.yaml: must be a mapping, not a list"},
		"version is a number": {"-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1\nmaintainers: me\n",
			"Chart.yaml: maintainers must be a list, not a string"},
		"template syntax": {bad("a: b\nc: {{ if }}\n"), "templates/a.yaml:2: missing value for if"},
		"unknown function": {bad("a: b\nc: {{ env \"HOME\" }}\n"),
			`templates/a.yaml:2: function "env" not defined`},
		"no such template": {bad("c: {{ include \"x\" . }}\n"),
			`templates/a.yaml:1: error calling include: template: no template "x" associated with template "gotpl"`},
		"nil pointer": {bad("a: b\nc: {{ .Values.a.b }}\n"),
			"templates/a.yaml:2: .Values.a.b: nil pointer evaluating interface {}.b"},
		"required": {bad("c: {{ required \"say .Values.host\" .Values.host }}\n"),
			"templates/a.yaml:1: say .Values.host"},
		"fail in a part": {bad("---\nc: {{ include \"x\" . }}\n-- templates/_x.tpl --\n{{ define \"x\" " +
			"}}\n{{ fail \"no\" }}\n{{ end }}\n"), "templates/_x.tpl:2: no (included by templates/a.yaml:2)"},
		"wrong in a value": {bad("c: {{ tpl \"{{ .Values.a.b }}\" . }}\n"),
			"templates/a.yaml:1: .Values.a.b: nil pointer evaluating interface {}.b"},
		"no YAML": {bad(
			"apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\nkind: B\n foo: : bar\n"),
			"templates/a.yaml: document 2 of the rendered text, line 2: mapping values are not allowed in this " +
				"context\n  2 |  foo: : bar"},
		"no object": {bad("just a text\n"),
			"templates/a.yaml: rendered text: not an object"},
		"schema": {meta + "-- values.yaml --\nnum: text\n-- values.schema.json " +
			"--\n{\"properties\": {\"num\": {\"type\": \"integer\"}}, \"required\": [\"m\"]}\n",
			"values.schema.json: the values do not match the chart's schema:\n- (root): m is required\n- num: " +
				"Invalid type. Expected: integer, given: string"},
		"schema without end": {meta + "-- values.schema.json --\n{\"allOf\": [{\"$ref\": \"#/$defs/a\"}], " +
			"\"$defs\": {\"a\": {\"anyOf\": [{\"$ref\": \"#\"}]}}}\n",
			"values.schema.json: the schema refers to itself in a cycle"},
		"schema is none": {meta + "-- values.schema.json --\n{\"type\": 1}\n", "values.schema.json: "},
		"range until 1e9": {bad("a: b\n{{ range until 1000000000 }}x{{ end }}\n"),
			"templates/a.yaml:2: a list of more than 1000000 values"},
		"range over a number": {bad("{{ range 1000000000 }}{{ range 1000000000 }}{{ end }}{{ end }}\n"),
			"templates/a.yaml:1: more than 10000000 steps: check for an endless loop"},
		"seq": {bad("{{ seq 1 1000000000 }}\n"),
			"templates/a.yaml:1: a list of more than 1000000 values"},
		"repeat": {bad("{{ repeat 1000000000 \"x\" }}\n"),
			"templates/a.yaml:1: a text of more than 16 MiB"},
		"indent": {bad("{{ indent 1000000000 \"x\" }}\n"),
			"templates/a.yaml:1: a text of more than 16 MiB"},
		"random text": {bad("{{ randAlphaNum 1000000000 }}\n"),
			"templates/a.yaml:1: randAlphaNum of 1000000000"},
		"wide": {bad("{{ printf \"%1000000d\" 1 }}\n"),
			"templates/a.yaml:1: printf to a width of more than 999"},
		"doubled text": {bad(
			"{{ $x := \"x\" }}{{ range until 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}\n"),
			"templates/a.yaml:1: a text of more than 16 MiB"},
		"doubled list": {bad("{{ $x := list 1 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}\n"),
			"templates/a.yaml:1: a list of more than 1000000 values"},
		"doubled map": {bad(
			"{{ $x := dict }}{{ range until 60 }}{{ $x = dict \"a\" $x \"b\" $x }}{{ end }}{{ toYaml $x }}\n"),
			"templates/a.yaml:1: a value of more than 1000000 values"},
		"replaced": {bad("{{ $x := repeat 1000000 \"a\" }}{{ $y := replace \"a\" $x $x }}\n"),
			"templates/a.yaml:1: a text of more than 16 MiB"},
		"map within itself": {bad("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}\n"),
			"templates/a.yaml:1: a value that contains itself"},
		"much": {bad(
			"{{ $x := repeat 1000000 \"a\" }}{{ range until 1000 }}{{ $x }}{{ end }}\n"),
			"templates/a.yaml:1: the templates write more than 256 MiB"},
		"include without end": {bad(
			"{{ include \"x\" . }}\n-- templates/_x.tpl --\n\n{{ define \"x\" }}{{ include \"x\" . }}{{ end }}\n"),
			"templates/_x.tpl:2: templates are nested more than 1000 deep"},
		"template without end": {bad(
			"{{ template \"x\" . }}\n-- templates/_x.tpl --\n{{ define \"x\" }}{{ template \"x\" . }}{{ end }}\n"),
			"templates/_x.tpl:1: templates are nested more than 1000 deep"},
		"tpl without end": {bad("{{ tpl .Values.x . }}\n-- values.yaml --\nx: '{{ tpl .Values.x . }}'\n"),
			"templates/a.yaml:1: templates are nested more than 1000 deep"},
		"tpl defines without end": {bad("{{ tpl .Values.x . }}\n-- values.yaml --\nx: '{{ define \"q\" }}{{ tpl " +
			".Values.x . }}{{ end }}{{ include \"q\" . }}'\n"),
			"templates/a.yaml:1: templates are nested more than 1000 deep"},
		"bomb in values": {meta + "-- values.yaml --\n" + bomb, "values.yaml:"},
		"bomb in what it renders": {bad(bomb),
			"templates/a.yaml: rendered text, line 1: aliases stand for more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := render(t, chartDir(t, c.files), project.Chart{Path: "."}, helm.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if len(r.Objects) > 0 {
				t.Errorf("and yet %d objects", len(r.Objects))
			}
		})
	}
}

var bomb = func() string {
	text := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i,
			i, i, i, i, i, i, i, i, i)
	}
	return text
}()

func TestValuesFaults(t *testing.T) {
	dir := chartDir(t, meta+"-- broken.yaml --\na: b\nc: [\n-- text.yaml --\njust a text\n-- bomb.yaml --\n"+
		bomb)
	for want, c := range map[string]project.Chart{
		"broken.yaml:3: did not find expected node content": {Values: []string{"broken.yaml"}},
		"text.yaml: must be a mapping, not a string":        {Values: []string{"text.yaml"}},
		"bomb.yaml:": {Values: []string{"bomb.yaml"}},
		"missing.yaml: no such file or directory":                               {Values: []string{"missing.yaml"}},
		"../../etc/passwd: outside the project":                                 {Values: []string{"../../etc/passwd"}},
		"values from https://a.b/c.yaml: values are read only from the project": {Values: []string{"https://a.b/c.yaml"}},
		"--set-file a=/etc/passwd: /etc/passwd: an absolute path":               {SetFile: []string{"a=/etc/passwd"}},
		"--set a[70000]=x: ": {Set: []string{"a[70000]=x"}},
		"--set " + strings.Repeat("a.", 40) +
			"a=x: ": {Set: []string{strings.Repeat("a.", 40) + "a=x"}},
		"--set-json a={: ": {SetJSON: []string{"a={"}},
		`release "Web": a release's name has at most 53`: {Release: "Web"},
		"nowhere: no such chart":                         {Path: "nowhere"},
		"broken.yaml: not a chart archive":               {Path: "broken.yaml"},
		`chart https://a.b/web-1.0.0.tgz: charts are fetched only from`: {Path: "web", Repository: "https://a.b",
			Version: "1.0.0"},
	} {
		if c.Path == "" {
			c.Path = "."
		}
		if _, err := render(t, dir, c, helm.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if _, err := render(t, dir, project.Chart{Path: ".", Values: []string{"bomb.yaml"}},
		helm.Options{}); !errors.Is(err, object.ErrBudget) {
		t.Errorf("no budget: %v", err)
	}
}

// TestSecretsStayHidden: an invalid line of a Secret is not shown.
func TestSecretsStayHidden(t *testing.T) {
	_, err := render(t, chartDir(t, meta+"-- templates/a.yaml --\nkind: Secret\ndata:\n  password: {{ print "+
		"\"hunter2\" }}: x\n"), project.Chart{Path: "."}, helm.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// TestEnds: a render stops with its context, even in an endless template.
func TestEnds(t *testing.T) {
	dir := chartDir(t, meta+"-- templates/a.yaml --\n{{ range 1000000000 }}{{ end }}\n")
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = helm.New(helm.Config{}).Render(root.View(ctx), project.Chart{Path: ".", Release: "rel"},
		helm.Options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestLinks(t *testing.T) {
	dir := chartDir(t, "-- secret --\nx\n-- app/chart/Chart.yaml --\napiVersion: v2\nname: web\nversion: "+
		"1.0.0\n-- app/shared.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n-- "+
		"app/chart/templates/_x --\n")
	link := func(target, name string) {
		t.Helper()
		os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../../shared.yaml", "app/chart/templates/c.yaml")
	r, err := render(t, filepath.Join(dir, "app"), project.Chart{Path: "chart"}, helm.Options{})
	if err != nil || len(r.Objects) != 1 {
		t.Errorf("%v, %d objects", err, len(r.Objects))
	}
	for _, target := range []string{"../../../secret", "/etc/passwd", "."} {
		link(target, "app/chart/templates/c.yaml")
		if _, err := render(t, filepath.Join(dir, "app"), project.Chart{Path: "chart"},
			helm.Options{}); err == nil {
			t.Errorf("a link to %s is followed", target)
		}
	}
}

// pack makes a .tgz of files.
func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	out := tar.NewWriter(zipped)
	for name, content := range files {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)),
			Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func TestPacked(t *testing.T) {
	inner := pack(t, map[string]string{"db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		"db/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n"})
	outer := pack(t, map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: " +
		"1.0.0\ndependencies: [{name: db, version: 1.0.0}]\n", "web/charts/db-1.0.0.tgz": string(inner)})
	large := pack(t, map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/zeros": strings.Repeat("\x00", 65<<20)})
	escaping := pack(t, map[string]string{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/../../x": "x"})
	dir := t.TempDir()
	for name, text := range map[string][]byte{"web.tgz": outer, "large.tgz": large, "escaping.tgz": escaping} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := render(t, dir, project.Chart{Path: "web.tgz"}, helm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Objects[0].Origin.File; got != "web.tgz/charts/db-1.0.0.tgz/templates/c.yaml" {
		t.Error(got)
	}
	for name, want := range map[string]string{"large.tgz": "more than 64 MiB when unpacked",
		"escaping.tgz": "illegally references parent directory"} {
		if _, err := render(t, dir, project.Chart{Path: name}, helm.Options{}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
