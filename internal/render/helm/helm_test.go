package helm_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/tree"
)

// chartDir writes files that are written one after the other in one text.
func chartDir(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(text)).Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const meta = "-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: \"3\"\n"

// configMap is a template of a ConfigMap with the given data.
func configMap(name, data string) string {
	return "-- templates/" + name + ".yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name +
		"\ndata:\n" + data + "\n"
}

// data renders a chart and returns the data of its ConfigMap c.
func data(t *testing.T, dir string, c project.Chart, o helm.Options) map[string]any {
	t.Helper()
	c.Path = "."
	r, err := render(t, dir, c, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Objects {
		if o.Ref().Name == "c" {
			m, _ := o.At("data").(map[string]any)
			return m
		}
	}
	t.Fatalf("no ConfigMap c among %d objects", len(r.Objects))
	return nil
}

// TestValuesTypes compares the types of plain scalars in a values file with those of helm.
func TestValuesTypes(t *testing.T) {
	for plain, want := range map[string]string{
		"1234567": "1.234567e+06", "0123456": "42798", "0891234": "891234", "12345e6": "1.2345e+10",
		"2026.10": "2026.1", "1e3": "1000", "123e456": "123e456", "yes": "true", `"0123456"`: "0123456",
	} {
		t.Run(plain, func(t *testing.T) {
			dir := chartDir(t, meta+configMap("c", "  v: {{ .Values.tag | toString | quote }}")+
				"-- v.yaml --\ntag: "+plain+"\n")
			if got := data(t, dir, project.Chart{Values: []string{"v.yaml"}}, helm.Options{})["v"]; got != want {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

func TestSetTypes(t *testing.T) {
	dir := chartDir(t, meta+configMap("c", "  v: {{ printf \"%T %v\" .Values.x .Values.x | quote }}"))
	for set, want := range map[string]string{
		"x=true": "bool true", "x=0": "int64 0", "x=12": "int64 12", "x=0123456": "string 0123456",
		"x=12e4567": "string 12e4567", "x=1.5": "string 1.5", `x=a\,b`: "string a,b",
		"x={a,b}": "[]interface {} [a b]",
		"x[2]=c":  "[]interface {} [<nil> <nil> c]", "x=null": "<nil> <nil>",
	} {
		if got := data(t, dir, project.Chart{Set: []string{set}}, helm.Options{})["v"]; got != want {
			t.Errorf("%s: got %v, want %s", set, got, want)
		}
	}
}

// TestPrecedence sets one value in every way, and removes the strongest one by one.
func TestPrecedence(t *testing.T) {
	dir := chartDir(t, meta+configMap("c",
		"  v: {{ .Values.x | quote }}\n  map: {{ toJson .Values.m | quote }}")+
		"-- values.yaml --\nx: chart\nm: {chart: 1, gone: 2}\n-- a.yaml --\nx: a\nm: {a: 1}\n---\nm: {gone: "+
		"null}\n-- b.yaml --\nx: b\n-- text --\nfile\n")
	c := project.Chart{
		Values: []string{"a.yaml", "b.yaml"}, SetJSON: []string{`x="json"`, `{"m":{"json":[1]}}`},
		Set:       []string{"x=first", "x=set"},
		SetString: []string{"x=string"}, SetFile: []string{"x=text"}, SetLiteral: []string{"x=literal,{a}"},
	}
	for _, step := range []struct {
		want string
		drop func()
	}{
		{"literal,{a}", func() {
			c.SetLiteral = nil
		}}, {"file\n", func() { c.SetFile = nil }}, {"string", func() { c.SetString = nil }},
		{"set", func() {
			c.Set = nil
		}}, {"json", func() { c.SetJSON = c.SetJSON[1:] }}, {"b", func() { c.Values = c.Values[:1] }},
		{"a", func() { c.Values = nil }}, {"chart", func() {}},
	} {
		if got := data(t, dir, c, helm.Options{Inline: map[string]any{"x": "chart"}}); got["v"] != step.want {
			t.Errorf("got %v, want %s", got["v"], step.want)
		} else if step.want == "literal,{a}" && got["map"] != `{"a":1,"chart":1,"json":[1]}` {
			t.Errorf("merged: %v", got["map"])
		}
		step.drop()
	}
}

func TestValuesConflicts(t *testing.T) {
	dir := chartDir(t, meta+configMap("c", "  v: {{ toJson .Values | quote }}")+"-- values.yaml --\na: {b: "+
		"text, c: {d: 1}}\nlist: [1, 2]\n-- v.yaml --\na: {b: {x: 1}, c: text}\nlist: [3]\n")
	r, err := render(t, dir, project.Chart{Path: ".", Values: []string{"v.yaml"}}, helm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"web.a.b: skipped the chart's value: it is not a table, but the user's is",
		"web.a.c: skipped the chart's table: the user's value is not a table"}
	if diff := cmp.Diff(want, r.Warnings); diff != "" {
		t.Error(diff)
	}
	if got := r.Objects[0].At("data", "v"); got != `{"a":{"b":{"x":1},"c":"text"},"list":[3]}` {
		t.Error(got)
	}
	// A list of the chart's own is replaced by --set, one of a file is changed.
	got := data(t, dir, project.Chart{Set: []string{"list[0]=z"}}, helm.Options{})["v"]
	if !strings.Contains(fmt.Sprint(got), `"list":["z"]`) {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(dir, "v.yaml"), []byte("list: [q, w]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got = data(t, dir, project.Chart{Values: []string{"v.yaml"}, Set: []string{"list[0]=z"}},
		helm.Options{})["v"]
	if !strings.Contains(fmt.Sprint(got), `"list":["z","w"]`) {
		t.Error(got)
	}
}

func TestDependencies(t *testing.T) {
	sub := func(name, at, version string) string {
		return "-- " + at + "/Chart.yaml --\napiVersion: v2\nname: " + name + "\nversion: " + version + "\n-- " +
			at + "/values.yaml --\nown: " + name + "\nexports: {out: {shared: " + name + "}}\n" +
			"-- " + at + "/templates/c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Name " +
			"}}\ndata:\n  own: {{ .Values.own }}\n  global: {{ .Values.global.g }}\n  root: {{ .Chart.IsRoot | " +
			"quote }}\n"
	}
	dir := chartDir(t, "-- app/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n"+
		"- {name: cache, version: ^1.0.0, condition: cache.enabled}\n- {name: cache, version: 1.x, alias: "+
		"second, tags: [more]}\n"+
		"- {name: near, version: 0.1.0, repository: file://../near, import-values: [out]}\n- {name: old, "+
		"version: ^2.0.0, condition: never}\n"+
		"-- app/values.yaml --\nglobal: {g: all}\nsecond: {own: mine}\ntags: {more: true}\ncache: {enabled: true}\n"+
		"-- app/templates/c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  shared: {{ "+
		".Values.shared }}\n  charts: {{ keys .Subcharts | join \",\" }}\n"+
		sub("cache", "app/charts/cache", "1.2.0")+sub("old", "app/charts/old", "1.0.0")+sub("near",
		"near", "0.1.0"))
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engine := helm.New(helm.Config{})
	of := func(set ...string) (names, warnings []string) {
		r, err := engine.Render(root.View(t.Context()), project.Chart{Path: "app", Release: "rel", Set: set},
			helm.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range r.Objects {
			names = append(names, fmt.Sprintf("%s %v %s", o.Ref().Name, o.At("data"), o.Origin))
		}
		return names, r.Warnings
	}
	all := []string{
		"cache map[global:all own:cache root:false] app/charts/cache/templates/c.yaml",
		"near map[global:all own:near root:false] near/templates/c.yaml",
		"old map[global:all own:old root:false] app/charts/old/templates/c.yaml",
		"second map[global:all own:mine root:false] app/charts/cache/templates/c.yaml",
		"c map[charts:cache,near,old,second shared:near] app/templates/c.yaml",
	}
	for range 2 { // what is loaded once is not changed by a render
		names, warnings := of()
		if diff := cmp.Diff(all, names); diff != "" {
			t.Error(diff)
		}
		want := []string{"app/Chart.yaml:8: charts/ has old 1.0.0 instead of ^2.0.0: it is rendered, " +
			"but its condition, tags and alias are ignored"}
		if diff := cmp.Diff(want, warnings); diff != "" {
			t.Error(diff)
		}
		if names, _ = of("cache.enabled=false", "tags.more=false"); len(names) != 3 {
			t.Errorf("disabled: %v", names)
		}
	}
}

func TestHooks(t *testing.T) {
	object := func(name, annotations string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  annotations: {" +
			annotations + "}\n"
	}
	dir := chartDir(t, meta+"-- templates/a.yaml --\n"+object("hook", "helm.sh/hook: \"pre-install, "+
		"Post-Upgrade\", helm.sh/hook-weight: \"-5\", helm.sh/hook-delete-policy: "+
		"\"before-hook-creation,hook-succeeded\"")+
		object("plain", "a: b")+object("test", "helm.sh/hook: test-success")+object("odd",
		"helm.sh/hook: pre-lunch")+
		"-- crds/d.yaml --\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: "+
		"{name: d}\n-- templates/NOTES.txt --\nHello {{ .Release.Name }}\n")
	names := func(o helm.Options) (list []string, r helm.Result) {
		r, err := render(t, dir, project.Chart{Path: "."}, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range r.Objects {
			list = append(list, o.Ref().Name)
		}
		return list, r
	}
	got, r := names(helm.Options{IncludeCRDs: true})
	if diff := cmp.Diff([]string{"d", "plain", "hook", "test"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(
		[]string{`templates/a.yaml: ConfigMap odd is skipped: unknown hook "pre-lunch"`},
		r.Warnings); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		o    helm.Options
		want string
	}{
		{helm.Options{SkipTests: true}, "plain hook"}, {helm.Options{NoHooks: true}, "plain"},
		{helm.Options{IncludeCRDs: true, ShowOnly: []string{"crds/*", "templates/a.yaml"}, SkipTests: true},
			"d plain hook"},
	} {
		if got, _ := names(c.o); strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v, want %s", c.o, got, c.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	dir := chartDir(t, meta+configMap("c", "  kube: {{ .Capabilities.KubeVersion }}\n  minor: {{ "+
		".Capabilities.KubeVersion.Minor | quote }}\n  apps: {{ .Capabilities.APIVersions.Has \"apps/v1\" | "+
		"quote }}\n"+
		"  own: {{ .Capabilities.APIVersions.Has \"a.b/v1\" | quote }}\n  helm: {{ "+
		".Capabilities.HelmVersion.Version }}\n  release: \"{{ .Release.Name }}/{{ .Release.Namespace }} {{ "+
		".Release.IsInstall }} {{ .Release.IsUpgrade }} {{ .Release.Revision }} {{ .Release.Service }}\"\n"+
		"  found: {{ (lookup \"v1\" \"Secret\" \"n\" \"s\").kind | quote }}"))
	want := map[string]any{"kube": "v1.37.0", "minor": "37", "apps": "true", "own": "false", "helm": "v4.3.1",
		"release": "rel/default true false 1 Helm", "found": nil}
	if diff := cmp.Diff(want, data(t, dir, project.Chart{}, helm.Options{})); diff != "" {
		t.Error(diff)
	}
	lookup := func(_, kind, _, _ string) (map[string]any, error) { return map[string]any{"kind": kind}, nil }
	maps.Copy(want, map[string]any{"kube": "v1.30.2", "minor": "30", "own": "true",
		"release": "rel/prod false true 1 Helm", "found": "Secret"})
	got := data(t, dir, project.Chart{Namespace: "prod"}, helm.Options{Namespace: "other",
		KubeVersion: "1.30.2-gke.1", APIVersions: []string{"a.b/v1"}, IsUpgrade: true, Lookup: lookup})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	mod, err := os.ReadFile(filepath.Join("..", "..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`k8s\.io/api v0\.37\.`).Match(mod) {
		t.Error("defaultKube is not the version of k8s.io/api in go.mod")
	}
	if !regexp.MustCompile(`helm\.sh/helm/v4 v4\.3\.1\n`).Match(mod) {
		t.Error("helmVersion is not the version of Helm in go.mod")
	}
}

// TestUnstable renders fields that vary, and fields that only seem to.
func TestUnstable(t *testing.T) {
	dir := chartDir(t, meta+"-- templates/_h.tpl --\n{{ define \"pw\" }}{{ randAlphaNum 9 }}{{ end }}\n"+
		"-- templates/a.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: shop}\ndata:\n  "+
		"password: {{ include \"pw\" . | b64enc }}\n  same: {{ \"x\" | b64enc }}\n"+
		configMap("c", "  year: {{ now | date \"2006\" | quote }}\n  day: {{ date \"Mon\" \"\" }}\n  age: {{ ago "+
			"(toDate \"2006-01-02\" \"2020-01-01\") }}\n  keys: {{ keys (dict \"b\" 1 \"a\" 2 \"c\" 3) | join \"\" "+
			"}}\n  values: {{ values (dict \"b\" 1 \"a\" 2) | join \",\" }}")+
		configMap("d", "  len: {{ randAlpha 5 | len | quote }}\n  fixed: {{ toDate \"2006-01-02\" \"2020-01-01\" "+
			"| date \"Jan\" }}"))
	r, err := render(t, dir, project.Chart{Path: "."}, helm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range r.Unstable {
		got = append(got, u.String())
	}
	want := []string{
		"templates/a.yaml: Secret shop/a data.password: randAlphaNum",
		"templates/c.yaml: ConfigMap c data.age: now, date, ago",
		"templates/c.yaml: ConfigMap c data.day: now, date, ago",
		"templates/c.yaml: ConfigMap c data.year: now, date, ago",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c := r.Objects[1].At("data").(map[string]any)
	if c["keys"] != "abc" || c["values"] != "2,1" {
		t.Errorf("what a map holds comes in no order: %v", c)
	}
}

// TestFiles reads the files of a chart, and no others.
func TestFiles(t *testing.T) {
	dir := chartDir(t, "-- etc --\nsecret\n-- chart/Chart.yaml --\napiVersion: v2\nname: web\nversion: "+
		"1.0.0\n-- chart/.helmignore --\nleft/\n*.bak\n-- chart/left/a --\nx\n-- chart/b.bak --\nx\n-- "+
		"chart/conf/a.txt --\none\ntwo\n-- chart/conf/b.txt --\nb\n"+
		"-- chart/templates/c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  out: {{ "+
		".Files.Get \"../etc\" | quote }}{{ .Files.Get \"/etc/passwd\" }}\n  ignored: {{ .Files.Get \"left/a\" | "+
		"quote }}{{ .Files.Get \"b.bak\" }}\n"+
		"  lines: {{ .Files.Lines \"conf/a.txt\" | join \",\" }}\n  glob: {{ range $n, $_ := .Files.Glob "+
		"\"conf/*\" }}{{ $n }} {{ end }}\n  host: {{ getHostByName \"localhost\" | quote }}\n  {{- (.Files.Glob "+
		"\"conf/*\").AsConfig | nindent 2 }}\n")
	r, err := render(t, dir, project.Chart{Path: "chart"}, helm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"out": "", "ignored": "", "lines": "one,two", "glob": "conf/a.txt conf/b.txt",
		"host": "", "a.txt": "one\ntwo\n", "b.txt": "b\n"}
	if diff := cmp.Diff(want, r.Objects[0].At("data")); diff != "" {
		t.Error(diff)
	}
}

// TestReads: a chart that is already loaded counts as read by the second environment too.
func TestReads(t *testing.T) {
	dir := chartDir(t, meta+configMap("c", "  a: b")+"-- v.yaml --\n{}\n")
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engine := helm.New(helm.Config{})
	var lists [2][]tree.Seen
	for i := range lists {
		v := root.View(t.Context())
		if _, err := engine.Render(v, project.Chart{Path: ".", Release: "rel", Values: []string{"v.yaml"}},
			helm.Options{}); err != nil {
			t.Fatal(err)
		}
		lists[i] = v.Reads().List()
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
		t.Error(diff)
	}
	if !slices.ContainsFunc(lists[1], func(s tree.Seen) bool { return s.Path == "templates/c.yaml" }) {
		t.Errorf("the template is not among what was read: %v", lists[1])
	}
}

// TestTogether renders environments of one engine at the same time.
func TestTogether(t *testing.T) {
	root, err := tree.Open(chartDir(t, meta+configMap("c", "  v: {{ include \"n\" . }}")+
		"-- templates/_n.tpl --\n{{ define \"n\" }}{{ $d := set .Values \"x\" .Release.Name }}{{ tpl \"{{ "+
		".Values.x }}\" . }}{{ end }}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engine := helm.New(helm.Config{})
	failed := make(chan error)
	for i := range 8 {
		go func() {
			name := fmt.Sprint("r", i)
			r, err := engine.Render(root.View(context.WithoutCancel(t.Context())), project.Chart{Path: ".",
				Release: name}, helm.Options{})
			if err == nil && r.Objects[0].At("data", "v") != name {
				err = fmt.Errorf("%s: %v", name, r.Objects[0].Body)
			}
			failed <- err
		}()
	}
	for range 8 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// render renders a chart of a directory.
func render(t testing.TB, dir string, c project.Chart, o helm.Options) (helm.Result, error) {
	t.Helper()
	if c.Release == "" {
		c.Release = "rel"
	}
	root, err := tree.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return helm.New(helm.Config{}).Render(root.View(t.Context()), c, o)
}
