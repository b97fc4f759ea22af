package render

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"slipway/internal/project"
	"slipway/internal/render/foldertest"
)

// Each case is one fault of a source, with its error.
func TestRenderErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"12 broken YAML in a plain directory": {map[string]string{"k/a.yaml": configMap("a") + "   x: y\n"},
			"k/a.yaml:5: mapping values are not allowed in this context"},
		"13 bomb in a plain directory": {map[string]string{"k/a.yaml": bomb},
			"k/a.yaml:1: aliases stand for more than 100000 values"},
		"14 link out of a plain one": {map[string]string{"k/a.yaml": "-> /etc/passwd"},
			"k/a.yaml: outside the project"},
		"14 the environment is a link": {map[string]string{"k": "-> /etc"},
			"k: a link that leads outside the project"},
		"duplicate object": {map[string]string{"k/a.yaml": configMap("a"), "k/b.yaml": "---\n" + configMap("a")},
			"ConfigMap a is defined twice: k/a.yaml:1 and k/b.yaml:2"},
		"nothing": {map[string]string{"k/README.md": "#"}, "k: no objects"},
		"chart": {map[string]string{"k/Chart.yaml": "name: x\n"},
			"k/Chart.yaml: path is a Helm chart: name it under charts, with its values files"},
		"no such directory": {map[string]string{"x/a.yaml": ""}, "k: no such file or directory"},
		"a file":            {map[string]string{"k": ""}, "k is neither a directory nor a YAML file"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := render(t, foldertest.Of(t, c.files), "k")
			var re *Error
			if !errors.As(err, &re) {
				t.Fatalf("no error: %v", origins(r))
			}
			exact := strings.HasPrefix(c.want, "k") || strings.HasPrefix(c.want, "base/")
			if got := re.Err.Error(); exact && got != c.want || !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A panic in a library is an error of that environment alone.
func TestFault16PanicOfALibrary(t *testing.T) {
	dir := foldertest.Of(t, map[string]string{
		"skaffold.yaml": "apiVersion: skaffold/v4beta11\nkind: Config\nmanifests: {rawYaml: " +
			"[a.yaml]}\nprofiles:\n- name: p\n  activation: [{env: A=b}]\n",
		"a.yaml": configMap("a"), "k/a.yaml": configMap("a"),
	})
	r, err := Open(dir, Options{Env: func(string) (string, bool) { panic("out of nowhere") }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // twice: no lock is left held
		_, err := r.Render(t.Context(), project.Environment{Name: "prod",
			Skaffold: &project.Skaffold{File: "skaffold.yaml"}})
		var broken *PanicError
		if !errors.As(err, &broken) || err.Error() != "render prod: the renderer panicked: out of nowhere" ||
			!strings.Contains(string(broken.Stack), "skaffold") {
			t.Errorf("%v", err)
		}
	}
	if _, err := r.Render(t.Context(), project.Environment{Name: "dev", Paths: []string{"k"}}); err != nil {
		t.Error(err)
	}
}
