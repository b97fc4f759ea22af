package kustomize_test

import (
	"fmt"
	"strings"
	"testing"
)

// Each case is one fault of a kustomization, with its error.
func TestErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	const (
		remote    = ": nothing is fetched while rendering"
		component = "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\n"
		file      = "k/kustomization.yaml"
	)
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"12 broken YAML in a base": {map[string]string{file: "resources: [../base]\n",
			"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap("a") + "   x: y\n"},
			"base/a.yaml:5: mapping values are not allowed in this context"},
		"12 broken kustomization": {map[string]string{file: "resources:\n- a\n b: c\n"},
			"k/kustomization.yaml:3: mapping values are not allowed in this context"},
		"12 broken inline patch": {map[string]string{file: "resources: [a.yaml]\npatches:\n- patch: |\n    " +
			"a: b\n     c: d\n", "k/a.yaml": configMap("a")},
			"k/kustomization.yaml:3: patches: neither a merge patch nor " +
				"a JSON patch: mapping values are not allowed in this context"},
		"12 no object": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			"---\nkind: X\n"}, "k/a.yaml:6: X without metadata.name"},
		"13 bomb in a resource": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			bomb}, "k/a.yaml:5: aliases stand for more than 100000 values"},
		"13 bomb in a patch": {map[string]string{file: "patches: [{path: a.yaml}]\n",
			"k/a.yaml": configMap("a") + bomb}, "k/a.yaml:5: aliases stand for more than 100000 values"},
		"13 bomb in a kustomization": {map[string]string{file: bomb},
			"k/kustomization.yaml:1: aliases stand for more than 100000 values"},
		"13 bomb in configurations": {map[string]string{file: "configurations: [a.yaml]\n", "k/a.yaml": bomb},
			"k/kustomization.yaml:1: configurations: a.yaml: error converting YAML to JSON: yaml: document contains " +
				"excessive aliasing"},
		"13 nested deeply": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			"data: " + deep}, "k/a.yaml:5: nested deeper than 200 levels"},
		"13 an alias in itself": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			"data: &a {b: *a}\n"}, "k/a.yaml:5: nested deeper than 200 levels"},
		"13 a large file": {map[string]string{file: "configMapGenerator: [{name: a, files: [big]}]\n",
			"k/big": strings.Repeat("x", 9<<20)},
			"k/kustomization.yaml:1: configMapGenerator: k/big: larger than 8 MiB"},
		"14 generators without end": {map[string]string{file: "configMapGenerator:\n" +
			strings.Repeat("- {name: a}\n", 20_000)}, "k/kustomization.yaml:1: more than 10000 entries"},
		"14 remote base": {map[string]string{file: "resources:\n- github.com/acme/base\n"},
			"k/kustomization.yaml:2: resources: github.com/acme/base" + remote},
		"14 remote file": {map[string]string{file: "RESOURCES:\n- HTTPS://example.com/a.yaml\n"},
			"k/kustomization.yaml:2: RESOURCES: HTTPS://example.com/a.yaml" + remote},
		"14 remote base by ssh": {map[string]string{file: "components: ['git@example.com:acme/base']\n"},
			"k/kustomization.yaml:1: components: git@example.com:acme/base" + remote},
		"14 local repository": {map[string]string{file: "resources: ['file:///srv/base']\n"},
			"k/kustomization.yaml:1: resources: file:///srv/base" + remote},
		"14 remote patch": {map[string]string{file: "patches:\n- path: http://example.com/p.yaml\n"},
			"k/kustomization.yaml:2: patches: http://example.com/p.yaml" + remote},
		"14 remote in a merge": {map[string]string{file: "<<: {resources: ['https://example.com/x']}\n"},
			"k/kustomization.yaml:1: resources: https://example.com/x" + remote},
		"14 remote configMap file": {map[string]string{file: "configMapGenerator:\n- name: a\n  files: " +
			"['k=https://example.com/x']\n"}, "k/kustomization.yaml:3: configMapGenerator: https://example.com/x" +
			remote},
		"14 remote env file": {map[string]string{file: "secretGenerator:\n- name: a\n  env: " +
			"https://example.com/x\n"}, "k/kustomization.yaml:3: secretGenerator: https://example.com/x" + remote},
		"14 remote schema": {map[string]string{file: "openapi: {path: 'https://example.com/x'}\n"},
			"k/kustomization.yaml:1: openapi: https://example.com/x" + remote},
		"14 remote replacement": {map[string]string{file: "replacements:\n- path: https://example.com/x\n"},
			"k/kustomization.yaml:2: replacements: https://example.com/x" + remote},
		"14 remote crd": {map[string]string{file: "crds:\n- https://example.com/x\n"},
			"k/kustomization.yaml:2: crds: https://example.com/x" + remote},
		"14 remote transformer": {map[string]string{file: "transformers:\n- https://example.com/x\n"},
			"k/kustomization.yaml:2: transformers: https://example.com/x" + remote},
		"14 remote inline generator": {map[string]string{file: "generators:\n- |\n  apiVersion: builtin\n  kind: " +
			"ConfigMapGenerator\n  metadata: {name: a}\n  files: ['https://example.com/x']\n"},
			"k/kustomization.yaml:2: https://example.com/x" + remote},
		"14 remote generator": {map[string]string{file: "generators: [g.yaml]\n",
			"k/g.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: " +
				"['a=https://example.com/x']\n"}, "k/g.yaml:1: https://example.com/x" + remote},
		"14 remote patch plugin": {map[string]string{file: "transformers: [g.yaml]\n",
			"k/g.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\npath: " +
				"https://example.com/x\n"}, "k/g.yaml:1: https://example.com/x" + remote},
		"14 above the project": {map[string]string{file: "resources:\n- ../../../etc\n"},
			"k/kustomization.yaml:2: resources: ../../../etc: outside the project"},
		"14 absolute path": {map[string]string{file: "resources:\n- /etc/passwd\n"},
			"k/kustomization.yaml:2: resources: /etc/passwd: an absolute path outside the project"},
		"14 absolute file": {map[string]string{file: "configMapGenerator:\n- name: a\n  files: " +
			"[/etc/passwd]\n"}, "k/kustomization.yaml:3: configMapGenerator: /etc/passwd: an absolute path " +
			"outside the project"},
		"14 link out of a base": {map[string]string{file: "resources:\n- a.yaml\n",
			"k/a.yaml": "-> /etc/passwd"},
			"k/kustomization.yaml:2: resources: a.yaml: a link that leads outside the project"},
		"14 relative link out": {map[string]string{file: "resources:\n- a.yaml\n", "k/a.yaml": "-> ../../x"},
			"k/kustomization.yaml:2: resources: a.yaml: outside the project"},
		"14 the overlay is a link": {map[string]string{"k": "-> /etc"},
			"k: a link that leads outside the project"},
		"14 file of another directory": {map[string]string{file: "resources:\n- ../a.yaml\n",
			"a.yaml": configMap("a")}, "k/kustomization.yaml:2: resources: ../a.yaml: Kustomize reads single files " +
			"only from k and below: add a kustomization.yaml beside the file and name that directory"},
		"14 helmCharts": {map[string]string{file: "helmCharts:\n- name: redis\n"},
			"k/kustomization.yaml:2: helmCharts: charts are not supported here"},
		"14 exec plugin": {map[string]string{file: "generators: [g.yaml]\n",
			"k/g.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata:\n  name: a\n  annotations: " +
				"{config.kubernetes.io/function: 'exec: {path: /bin/true}'}\n"},
			"k/g.yaml:1: plugin Thing: only Kustomize's built-in plugins are supported"},
		"14 cyclic bases": {map[string]string{file: "resources: [../b]\n",
			"b/kustomization.yaml": "resources:\n- ../k\n"},
			"b/kustomization.yaml:2: resources: k closes a cycle: it is or contains the directory of " +
				"k/kustomization.yaml, which leads here"},
		"14 cyclic components": {map[string]string{file: "components: [../c]\n", "c/kustomization.yaml": component +
			"components: [../d]\n", "d/kustomization.yaml": component + "components: [../c]\n"},
			"d/kustomization.yaml:3: components: c closes a cycle: it is or contains the directory of " +
				"c/kustomization.yaml, which leads here"},
		"14 a base above": {map[string]string{file: "resources: ['..']\n",
			"kustomization.yaml": "namePrefix: x"}, "k/kustomization.yaml:1: resources: . closes a cycle: " +
			"it is or contains the directory of k/kustomization.yaml, which leads here"},
		"14 definitions without end": {map[string]string{file: "crds: [a.yaml]\n",
			"k/a.yaml": "A: {Schema: {properties: {kind: {}, apiVersion: {}, metadata: {}, a: {$ref: A}}}}\n"},
			"k/kustomization.yaml:1: crds: a.yaml: definitions refer to each other in a cycle"},
		"14 schema": {map[string]string{file: "resources: [a.yaml]\nopenapi: {path: s}\npatches: [{path: p.yaml}]\n", "k/s": "{", "k/a.yaml": configMap("a"), "k/p.yaml": configMap("a")}, "openapi: invalid schema file"},
		"13 copies of copies": {map[string]string{file: "resources: [a.yaml]\npatches:\n- target: {kind: " +
			"ConfigMap}\n  path: p.yaml\n", "k/a.yaml": configMap("a") + "data: {}\n",
			"k/p.yaml": strings.Repeat("- {op: copy, from: /data, path: /data/x}\n- {op: copy, from: /data, path: "+
				"/data/y}\n", 40)},
			"k/kustomization.yaml:3: patches: ConfigMap a (k/a.yaml:1): the object grows beyond 8 MiB"},
		"missing file": {map[string]string{file: "resources:\n- a.yaml\n- b.yaml\n",
			"k/a.yaml": configMap("a")}, "k/kustomization.yaml:3: resources: k/b.yaml: no such file or directory"},
		"missing component": {map[string]string{file: "components:\n- ../c\n"},
			"k/kustomization.yaml:2: components: c: no such file or directory"},
		"missing literal": {map[string]string{file: "configMapGenerator:\n- name: a\n  literals: [x]\n"},
			"k/kustomization.yaml:2: configMapGenerator: loading KV pairs: literal sources [x]: invalid literal " +
				"source x, expected key=value"},
		"wrong indentation": {map[string]string{file: "resources:\n- ../base\n - ../other\n",
			"other/kustomization.yaml": "namePrefix: x"},
			"k/kustomization.yaml:2: resources: ../base - ../other is ambiguous: check the indentation"},
		"directory without one": {map[string]string{file: "resources:\n- ../b\n",
			"b/a.yaml": configMap("a")},
			"k/kustomization.yaml:2: resources: ../b has no kustomization.yaml: list its files one by one"},
		"two kustomizations": {map[string]string{file: "", "k/kustomization.yml": ""},
			"k has more than one kustomization: kustomization.yaml, kustomization.yml"},
		"none": {map[string]string{"k/a.yaml": ""}, "k: no kustomization"},
		"empty": {map[string]string{file: "# nothing\n"},
			"k/kustomization.yaml: empty"},
		"unknown field": {map[string]string{file: "resources: [a.yaml]\nimags: []\n",
			"k/a.yaml": configMap("a")}, `k/kustomization.yaml:2: unknown field "imags" (did you mean "images"?)`},
		"unknown field of base": {map[string]string{file: "resources: [../b]\n",
			"b/kustomization.yaml": "images:\n- name: x\n  newTg: y\n"},
			`b/kustomization.yaml:3: unknown field "newTg"`},
		"wrong type": {map[string]string{file: "resources: []\nnamePrefix: [a]\n"},
			"k/kustomization.yaml:2: namePrefix must be a string, not a list"},
		"wrong type inside": {map[string]string{file: "images:\n- name: a\n  newTag: 1234567\n"},
			"k/kustomization.yaml:3: images.newTag must be a string, not a number: put it in quotes"},
		"text for a list": {map[string]string{file: "resources: a.yaml\n"},
			"k/kustomization.yaml:1: resources must be a list, not a string"},
		"duplicate object": {map[string]string{file: "resources: [a.yaml, b.yaml]\n",
			"k/a.yaml": configMap("a"), "k/b.yaml": "---\n" + configMap("a")},
			"ConfigMap a is defined twice: k/a.yaml:1 and k/b.yaml:2"},
		"base included twice": {map[string]string{file: "resources:\n- ../b\n- ../b\n",
			"b/kustomization.yaml": "resources: [a.yaml]\n", "b/a.yaml": configMap("a")},
			"k/kustomization.yaml:3: resources: ConfigMap a is defined twice: b/a.yaml:1 and b/a.yaml:1"},
		"namespaces meet": {map[string]string{file: "namespace: x\nresources: [a.yaml]\n",
			"k/a.yaml": configMap("a") + "  namespace: b\n---\n" + configMap("a")},
			"ConfigMap x/a is defined twice: k/a.yaml:1 and k/a.yaml:7"},
		"patch of nothing": {map[string]string{file: "resources: [a.yaml]\npatches:\n- patch: " +
			"'{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}'\n", "k/a.yaml": configMap("a")},
			"k/kustomization.yaml:3: patches: ConfigMap b is not among the resources"},
		"operation on nothing": {map[string]string{file: "resources: [a.yaml]\npatches:\n- target: " +
			"{kind: ConfigMap}\n  patch: '[{\"op\": \"replace\", \"path\": \"/data/x\", \"value\": \"y\"}]'\n",
			"k/a.yaml": configMap("a")}, "k/kustomization.yaml:3: patches: ConfigMap a (k/a.yaml:1): replace " +
			"operation does not apply: doc is missing path: /data/x: missing value"},
		"operations that are not JSON": {map[string]string{file: "patches:\n- target: {kind: ConfigMap}\n  " +
			"patch: '[{op: remove, path: /data}]'\n"}, "k/kustomization.yaml:2: patches: not a JSON patch: " +
			"invalid character 'o' looking for beginning of object key string"},
		"replicas of nothing": {map[string]string{file: "resources: [a.yaml]\nreplicas:\n- {name: x, count: 2}\n",
			"k/a.yaml": configMap("a")}, "k/kustomization.yaml:3: replicas: no object with replicas is named x"},
		"replacement of nothing": {map[string]string{file: "resources: [a.yaml]\nreplacements:\n- source: {kind: " +
			"X, name: z}\n  targets: [{select: {name: a}}]\n", "k/a.yaml": configMap("a")},
			"k/kustomization.yaml:3: replacements: nothing selected by X.[noVer].[noGrp]/z.[noNs]"},
		"broken image field": {map[string]string{file: "resources: [a.yaml]\nimages: [{name: a, newTag: b}]\n",
			"k/a.yaml": configMap("a") + "spec: {containers: [a]}\n"}, "k/kustomization.yaml:2: images: ConfigMap a " +
			"(k/a.yaml:1): wrong node kind: expected MappingNode but got ScalarNode: node contents:"},
		"key that is a number": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			"data: {1: x}\n"}, "k/a.yaml:1: ConfigMap a: key 1 must be a string: write it in quotes"},
		"key twice": {map[string]string{file: "resources: [a.yaml]\n", "k/a.yaml": configMap("a") +
			"data: {x: x, x: y}\n"}, `k/a.yaml:1: ConfigMap a: duplicate key "x"`},
		"validator that changes": {map[string]string{file: "resources: [a.yaml]\nvalidators: [v.yaml]\n",
			"k/a.yaml": configMap("a"), "k/v.yaml": "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: " +
				"v}\nprefix: x\nfieldSpecs: [{path: metadata/name}]\n"},
			"k/v.yaml:1: a validator must not change the resources: ConfigMap a"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := build(t, c.files, "k")
			if err == nil {
				t.Fatalf("no error: %v", origins(r))
			}
			if got := err.Error(); got != c.want && !(name == "14 schema" && strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Bases that each include two others twice over grow without bound.
func TestFault14BasesThatMultiply(t *testing.T) {
	for name, extra := range map[string]string{"shared": "",
		"not shared": "buildMetadata: [originAnnotations]\n"} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"k/kustomization.yaml": extra + "resources: [../l0a, ../l0b]\n",
				"end/kustomization.yaml": "resources: [a.yaml]\n", "end/a.yaml": configMap("a")}
			for i := range 30 {
				for _, side := range []string{"a", "b"} {
					next := fmt.Sprintf("namePrefix: %s\nresources: [../l%da, ../l%db]\n", side, i+1, i+1)
					if i == 29 {
						next = "namePrefix: " + side + "\nresources: [../end]\n"
					}
					files[fmt.Sprintf("l%d%s/kustomization.yaml", i, side)] = next
				}
			}
			_, err := build(t, files, "k")
			if err == nil || !strings.Contains(err.Error(), "check for bases that include each other several times") {
				t.Error(err)
			}
		})
	}
}
