package render

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/project"
)

// Each case is one thing that a source may not do or get wrong, with all that is said about it.
func TestRenderErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	remoteWhy := "nothing is fetched while rendering"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"12 broken YAML in a plain folder": {map[string]string{"k/a.yaml": configMap("a") + "   x: y\n"}, "k/a.yaml:5: mapping values are not allowed in this context"},
		"12 broken YAML in a base": {map[string]string{"k/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap("a") + "   x: y\n"},
			"base/a.yaml:5: mapping values are not allowed in this context"},
		"12 broken kustomization":      {map[string]string{"k/kustomization.yaml": "resources:\n- a\n b: c\n"}, "k/kustomization.yaml:3: mapping values are not allowed in this context"},
		"13 bomb in a plain folder":    {map[string]string{"k/a.yaml": bomb}, "k/a.yaml:1: aliases stand for more than 100000 values"},
		"13 bomb in a resource":        {map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\n", "k/a.yaml": configMap("a") + bomb}, "k/a.yaml:5: aliases stand for more than 100000 values"},
		"13 bomb in a kustomization":   {map[string]string{"k/kustomization.yaml": bomb}, "k/kustomization.yaml:1: aliases stand for more than 100000 values"},
		"13 a large file":              {map[string]string{"k/kustomization.yaml": "configMapGenerator: [{name: a, files: [big]}]\n", "k/big": strings.Repeat("x", 9<<20)}, "k/big: larger than 8 MiB"},
		"14 generators without end":    {map[string]string{"k/kustomization.yaml": "configMapGenerator:\n" + strings.Repeat("- {name: a}\n", 20_000)}, "k/kustomization.yaml:1: more than 10000 entries"},
		"14 remote base":               {map[string]string{"k/kustomization.yaml": "resources:\n- github.com/acme/base\n"}, "k/kustomization.yaml:2: resources: github.com/acme/base: " + remoteWhy},
		"14 remote file":               {map[string]string{"k/kustomization.yaml": "RESOURCES:\n- HTTPS://example.com/a.yaml\n"}, "k/kustomization.yaml:2: RESOURCES: HTTPS://example.com/a.yaml: " + remoteWhy},
		"14 remote base by ssh":        {map[string]string{"k/kustomization.yaml": "components: ['git@example.com:acme/base']\n"}, "k/kustomization.yaml:1: components: git@example.com:acme/base: " + remoteWhy},
		"14 local repository":          {map[string]string{"k/kustomization.yaml": "resources: ['file:///srv/base']\n"}, "k/kustomization.yaml:1: resources: file:///srv/base: " + remoteWhy},
		"14 remote patch":              {map[string]string{"k/kustomization.yaml": "patches:\n- path: http://example.com/p.yaml\n"}, "k/kustomization.yaml:2: patches: http://example.com/p.yaml: " + remoteWhy},
		"14 remote in a merge":         {map[string]string{"k/kustomization.yaml": "<<: {resources: ['https://example.com/x']}\n"}, "k/kustomization.yaml:1: resources: https://example.com/x: " + remoteWhy},
		"14 remote configMap file":     {map[string]string{"k/kustomization.yaml": "configMapGenerator:\n- name: a\n  files: ['k=https://example.com/x']\n"}, "k/kustomization.yaml:3: configMapGenerator: https://example.com/x: " + remoteWhy},
		"14 remote schema":             {map[string]string{"k/kustomization.yaml": "openapi: {path: 'https://example.com/x'}\n"}, "k/kustomization.yaml:1: openapi: https://example.com/x: " + remoteWhy},
		"14 remote inline generator":   {map[string]string{"k/kustomization.yaml": "generators:\n- |\n  apiVersion: builtin\n  kind: ConfigMapGenerator\n  metadata: {name: a}\n  files: ['https://example.com/x']\n"}, "k/kustomization.yaml:2: https://example.com/x: " + remoteWhy},
		"14 remote generator":          {map[string]string{"k/kustomization.yaml": "generators: [g.yaml]\n", "k/g.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: ['a=https://example.com/x']\n"}, "k/g.yaml:4: a=https://example.com/x: " + remoteWhy},
		"14 above the project":         {map[string]string{"k/kustomization.yaml": "resources:\n- ../../../etc\n"}, "k/kustomization.yaml:2: resources: ../../../etc: it is outside the project"},
		"14 absolute path":             {map[string]string{"k/kustomization.yaml": "resources:\n- /etc/passwd\n"}, "k/kustomization.yaml:2: resources: /etc/passwd: an absolute path is outside the project"},
		"14 link out of a plain one":   {map[string]string{"k/a.yaml": "-> /etc/passwd"}, "k/a.yaml: it is outside the project"},
		"14 link out of a base":        {map[string]string{"k/kustomization.yaml": "resources:\n- a.yaml\n", "k/a.yaml": "-> /etc/passwd"}, "k/kustomization.yaml:2: resources: a.yaml: it is a link that leads outside the project"},
		"14 relative link out":         {map[string]string{"k/kustomization.yaml": "resources:\n- a.yaml\n", "k/a.yaml": "-> ../../x"}, "k/kustomization.yaml:2: resources: a.yaml: it is outside the project"},
		"14 the environment is a link": {map[string]string{"k": "-> /etc"}, "k: it is outside the project"},
		"14 file of another folder":    {map[string]string{"k/kustomization.yaml": "resources:\n- ../a.yaml\n", "a.yaml": configMap("a")}, "k/kustomization.yaml:2: resources: ../a.yaml: Kustomize takes single files only from k and below: make what holds it a kustomization and name its folder"},
		"14 helmCharts":                {map[string]string{"k/kustomization.yaml": "helmCharts:\n- name: redis\n"}, "k/kustomization.yaml:1: helmCharts: charts are not rendered within a kustomization yet"},
		"14 exec plugin": {map[string]string{"k/kustomization.yaml": "generators: [g.yaml]\n", "k/g.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata:\n  name: a\n  annotations: {config.kubernetes.io/function: 'exec: {path: /bin/true}'}\n"},
			"external plugins disabled; unable to load external plugin 'Thing'"},
		"14 cyclic bases": {map[string]string{"k/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../k]\n"},
			"cycle detected: candidate root 'k' contains visited root 'k'"},
		"14 cyclic components": {map[string]string{"k/kustomization.yaml": "components: [../c]\n", "c/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\ncomponents: [../d]\n",
			"d/kustomization.yaml": "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\ncomponents: [../c]\n"}, "cycle detected"},
		"missing file":          {map[string]string{"k/kustomization.yaml": "resources:\n- a.yaml\n- b.yaml\n", "k/a.yaml": configMap("a")}, "k/kustomization.yaml:3: resources: k/b.yaml: no such file or folder"},
		"folder without one":    {map[string]string{"k/kustomization.yaml": "resources:\n- ../b\n", "b/a.yaml": configMap("a")}, "k/kustomization.yaml:2: resources: ../b has no kustomization.yaml: name its files one by one"},
		"two kustomizations":    {map[string]string{"k/kustomization.yaml": "", "k/kustomization.yml": ""}, "k has more than one kustomization: kustomization.yaml, kustomization.yml"},
		"unknown field":         {map[string]string{"k/kustomization.yaml": "resources: [a.yaml]\nimags: []\n", "k/a.yaml": configMap("a")}, `k/kustomization.yaml:2: unknown field "imags" (did you mean "images"?)`},
		"unknown field of base": {map[string]string{"k/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "images:\n- name: x\n  newTg: y\n"}, `b/kustomization.yaml:3: unknown field "newTg"`},
		"duplicate object":      {map[string]string{"k/a.yaml": configMap("a"), "k/b.yaml": "---\n" + configMap("a")}, "ConfigMap a is defined twice: k/a.yaml:1 and k/b.yaml:2"},
		"nothing":               {map[string]string{"k/README.md": "#"}, "k: no objects"},
		"chart":                 {map[string]string{"k/Chart.yaml": "name: x\n"}, "k/Chart.yaml: a Helm chart: not rendered yet"},
		"no such folder":        {map[string]string{"x/a.yaml": ""}, "k: no such file or folder"},
		"a file":                {map[string]string{"k": ""}, "k is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			r, err := render(t, treeOf(t, c.files), "k")
			var re *Error
			if !errors.As(err, &re) {
				t.Fatalf("no error: %v", origins(r))
			}
			exact := strings.HasPrefix(c.want, "k") || strings.HasPrefix(c.want, "base/")
			if got := re.Err.Error(); exact && got != c.want || !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Bases that each include two others twice over grow without bound.
func TestFault14BasesThatMultiply(t *testing.T) {
	files := map[string]string{"k/kustomization.yaml": "resources: [../l0a, ../l0b]\n", "end/kustomization.yaml": "resources: [a.yaml]\n", "end/a.yaml": configMap("a")}
	for i := range 30 {
		for _, side := range []string{"a", "b"} {
			next := fmt.Sprintf("namePrefix: %s\nresources: [../l%da, ../l%db]\n", side, i+1, i+1)
			if i == 29 {
				next = "namePrefix: " + side + "\nresources: [../end]\n"
			}
			files[fmt.Sprintf("l%d%s/kustomization.yaml", i, side)] = next
		}
	}
	_, err := render(t, treeOf(t, files), "k")
	if err == nil || !strings.Contains(err.Error(), "the same files are read again") {
		t.Error(err)
	}
}

// breaking is a context that breaks the library in the middle of its work.
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

func TestFault16PanicOfALibrary(t *testing.T) {
	for _, path := range []string{"k8s/overlays/prod", "k8s/overlays/prod"} { // twice: no lock is left held
		_, err := Render(&breaking{Context: t.Context()}, "../../examples/myapp", project.Environment{Name: "prod", Path: path})
		var broken *PanicError
		if !errors.As(err, &broken) || err.Error() != "render prod: the renderer broke down: out of nowhere" || !strings.Contains(string(broken.Stack), "krusty") {
			t.Errorf("%v", err)
		}
	}
	if _, err := render(t, "../../examples/myapp", "k8s/overlays/prod"); err != nil {
		t.Error(err)
	}
}

// Kustomize takes an image's name for a pattern; one that is none matches nothing, without a word.
func TestInvalidImagePattern(t *testing.T) {
	r, err := render(t, treeOf(t, map[string]string{
		"k/kustomization.yaml": "resources: [a.yaml]\nimages: [{name: 'my(app', newTag: x}]\n",
		"k/a.yaml":             "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: myapp}]}\n",
	}), "k")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`k/kustomization.yaml:2: images: "my(app" is no valid pattern and matches no image`}, r.Warnings); diff != "" {
		t.Error(diff)
	}
}
