package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files into a new folder; a name that ends in / is a folder, "-> x" makes a link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, p)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

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
`

func whereWhole(t testing.TB) string {
	return tree(t, map[string]string{"Dockerfile": "", "k8s/dev/": "", "k8s/prod/": "", "k8s/file": "", "out": "-> /etc"})
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
			BuildArgs: map[string]string{"GO": "1.26", "N": "2"}, Platforms: []string{"linux/amd64", "linux/arm64/v8"}}},
		Environments: []Environment{
			{Name: "dev", Class: Local, Path: "k8s/dev", Context: "laptop", Namespace: "mine", Registry: "k3d-registry.localhost:5000", Line: 10},
			{Name: "eu-prod", Class: Production, Path: "k8s/prod", Line: 15},
			{Name: "odd", Class: Production, Path: "k8s/prod", Line: 18},
		},
		Notes: []string{"environment odd is treated as production: its name does not say its class"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	dir := whereWhole(t)
	const envs = "environments: {dev: {path: k8s/dev}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"# nothing\n", "nothing in it"},
		"syntax":            {"project: a\n b: c\n", "line 2: mapping values are not allowed in this context"},
		"open list":         {"project: a\nimages: [\nx: y\n", "line 2: did not find expected ',' or ']'"},
		"two documents":     {"project: a\n---\nb: c\n", "line 2: a second document"},
		"unknown key":       {"project: a\nimags: []\n" + envs, `line 2: unknown key "imags" (did you mean "images"?)`},
		"strange key":       {"project: a\nwhatever: []\n" + envs, `line 2: unknown key "whatever" (known: environments, images, project)`},
		"unknown inner key": {"project: a\nenvironments:\n  dev:\n    pth: k8s/dev\n", `line 4: unknown key "pth" (did you mean "path"?)`},
		"not a mapping":     {"- a\n", "line 1: the file must be a mapping"},
		"wrong type":        {"project: a\nimages: {a: b}\n" + envs, "line 2: images must be a list"},
		"number for text":   {"project: 12\n" + envs, `line 1: project name must be a string: write "12"`},
		"null":              {"project:\n" + envs, "line 1: project name must be a string"},
		"empty text":        {"project: ''\n" + envs, "line 1: project name is empty"},
		"bad name":          {"project: My_App\n" + envs, `line 1: "My_App" is no project name: lower-case letters, digits and dashes, at most 63`},
		"no project":        {envs, "line 1: project is missing: the project's name"},
		"no environment":    {"project: a\n", "line 1: environments is missing: at least one"},
		"twice":             {"project: a\nenvironments:\n  dev: {path: k8s/dev}\n  dev: {path: k8s/prod}\n", `line 4: "dev" is there twice (first in line 3)`},
		"key twice":         {"project: a\nproject: b\n" + envs, `line 2: "project" is there twice (first in line 1)`},
		"no path":           {"project: a\nenvironments:\n  dev: {class: local}\n", "line 3: environment dev has no path"},
		"missing path":      {"project: a\nenvironments:\n  dev: {path: k8s/dve}\n", "line 3: path k8s/dve: no such folder"},
		"path is a file":    {"project: a\nenvironments:\n  dev: {path: k8s/file}\n", "line 3: path k8s/file is no folder"},
		"path above":        {"project: a\nenvironments:\n  dev: {path: k8s/../../x}\n", "line 3: path k8s/../../x is outside the project"},
		"absolute path":     {"project: a\nenvironments:\n  dev: {path: /etc}\n", "line 3: path /etc is outside the project"},
		"link out":          {"project: a\nenvironments:\n  dev: {path: out}\n", "line 3: path out is a link that leads outside the project"},
		"unknown class":     {"project: a\nenvironments:\n  dev: {path: k8s/dev, class: prod}\n", `line 3: unknown class "prod" (did you mean "production"?): it is local, staging or production`},
		"alias":             {"project: &a x\nenvironments: *a\n", "line 2: aliases are not understood here"},
		"merge":             {"<<: {project: a}\n" + envs, "line 1: a key of the file must be a string"},
		"image without":     {"project: a\nimages:\n- context: .\n" + envs, "line 3: an image without a name"},
		"image tag":         {"project: a\nimages:\n- name: myapp:dev\n" + envs, `line 3: "myapp:dev" is no image name: a repository without tag or digest, such as myapp or acme/myapp`},
		"image twice":       {"project: a\nimages:\n- name: x\n- name: x\n" + envs, `line 4: image "x" is there twice`},
		"no Dockerfile":     {"project: a\nimages:\n- name: x\n  context: k8s\n" + envs, "line 3: dockerfile k8s/Dockerfile: no such file"},
		"Dockerfile folder": {"project: a\nimages:\n- name: x\n  dockerfile: k8s\n" + envs, "line 4: dockerfile k8s is a folder"},
		"platform":          {"project: a\nimages:\n- name: x\n  platforms: [amd64]\n" + envs, `line 4: "amd64" is no platform: such as linux/amd64`},
		"registry":          {"project: a\nenvironments:\n  dev: {path: k8s/dev, registry: 'https://ghcr.io'}\n", `line 3: "https://ghcr.io" is no registry: a host and path without scheme, such as ghcr.io/acme`},
		"too large":         {"# " + strings.Repeat("x", 2<<20), "larger than 1 MiB"},
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
