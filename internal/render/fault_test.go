package render

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/internal/project"
)

// Each case is one thing that a source may not do or get wrong, with all that is said about it.
func TestRenderErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"12 broken YAML in a plain folder": {map[string]string{"k/a.yaml": configMap("a") + "   x: y\n"}, "k/a.yaml:5: mapping values are not allowed in this context"},
		"13 bomb in a plain folder":        {map[string]string{"k/a.yaml": bomb}, "k/a.yaml:1: aliases stand for more than 100000 values"},
		"14 link out of a plain one":       {map[string]string{"k/a.yaml": "-> /etc/passwd"}, "k/a.yaml: it is outside the project"},
		"14 the environment is a link":     {map[string]string{"k": "-> /etc"}, "k: it is outside the project"},
		"duplicate object":                 {map[string]string{"k/a.yaml": configMap("a"), "k/b.yaml": "---\n" + configMap("a")}, "ConfigMap a is defined twice: k/a.yaml:1 and k/b.yaml:2"},
		"nothing":                          {map[string]string{"k/README.md": "#"}, "k: no objects"},
		"chart":                            {map[string]string{"k/Chart.yaml": "name: x\n"}, "k/Chart.yaml: a Helm chart: not rendered yet"},
		"no such folder":                   {map[string]string{"x/a.yaml": ""}, "k: no such file or folder"},
		"a file":                           {map[string]string{"k": ""}, "k is no folder"},
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
		if !errors.As(err, &broken) || err.Error() != "render prod: the renderer broke down: out of nowhere" || !strings.Contains(string(broken.Stack), "slipway/internal/kustomize") {
			t.Errorf("%v", err)
		}
	}
	if _, err := render(t, "../../examples/myapp", "k8s/overlays/prod"); err != nil {
		t.Error(err)
	}
}
