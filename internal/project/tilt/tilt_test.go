package tilt

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/render/foldertest"
)

// Each archive is a project with a Tiltfile, and what the Tiltfile states.
func TestRead(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			files, want := foldertest.Archive(t, name)
			if diff := cmp.Diff(want, shown(Read(files, "Tiltfile"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func shown(t Tiltfile) string {
	var b strings.Builder
	for _, m := range t.Manifests {
		fmt.Fprintf(&b, "%d manifest %s", m.Line, m.Path)
		if m.Namespace != "" {
			fmt.Fprintf(&b, " in %s", m.Namespace)
		}
		if c := m.Chart; c != nil {
			fmt.Fprintf(&b, " chart %s/%s values %v set %v%v", c.Namespace, c.Release, c.Values, c.Set, c.SetString)
		}
		b.WriteString("\n")
	}
	for _, i := range t.Images {
		fmt.Fprintf(&b, "%d image %s", i.Line, i.Name)
		if i.Dockerfile != "" {
			fmt.Fprintf(&b, " of %s in %s", i.Dockerfile, i.Context)
		}
		if i.Target != "" {
			fmt.Fprintf(&b, " target %s", i.Target)
		}
		for _, k := range slices.Sorted(maps.Keys(i.Args)) {
			fmt.Fprintf(&b, " %s=%s", k, i.Args[k])
		}
		if i.Command != "" || i.LiveUpdate {
			fmt.Fprintf(&b, " live %v %s", i.LiveUpdate, i.Command)
		}
		b.WriteString("\n")
	}
	for _, f := range t.Forwards {
		fmt.Fprintf(&b, "%d forward %s %d %s\n", f.Line, f.Workload, f.Port, f.Name)
	}
	for _, c := range t.Contexts {
		fmt.Fprintf(&b, "context %s\n", c)
	}
	for _, c := range t.Broken {
		fmt.Fprintf(&b, "broken %s\n", c)
	}
	for _, c := range t.Undecided {
		fmt.Fprintf(&b, "undecided %s\n", c)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// Programs that would not end, or take all memory, end.
func TestBounds(t *testing.T) {
	for name, text := range map[string]string{
		"loops":     "x = 0\n" + strings.Repeat("for i in range(9999):\n  x = x + 1\n", 60) + "for i in range(9999):\n  for j in range(9999):\n    x += j\n",
		"recursion": "def f(n):\n  return f(n) + f(n)\nf(1)\n",
		"text":      "x = 'a'\nfor i in range(99):\n  x = x + x\n  y = '%s%s' % (x, x)\n  z = x.replace('a', x)\n",
		"lists":     "x = [1]\nfor i in range(99):\n  x = x + x\n  x += x\n  x.extend(x)\n",
		"nested":    strings.Repeat("(", 100_000) + ")",
		"unary":     "x = " + strings.Repeat("-", 200_000) + "1",
		"itself":    "load('Tiltfile', 'x')\ninclude('Tiltfile')\nl = []\nl.append(l)\nk8s_yaml(l)\nprint(l == l)\n",
		"doubled":   "l = []\nfor i in range(99):\n  l = [l, l]\nk8s_yaml(l)\nx = l == [l]\nk8s_resource('a', port_forwards=l)\n",
		"large":     strings.Repeat("#", maxText+1),
	} {
		t.Run(name, func(t *testing.T) {
			Read(fstest.MapFS{"Tiltfile": {Data: []byte(text)}}, "Tiltfile")
		})
	}
}

func FuzzRead(f *testing.F) {
	archives, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range archives {
		if archive, err := txtar.ParseFile(name); err == nil {
			f.Add(string(archive.Files[0].Data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := fstest.MapFS{"Tiltfile": {Data: []byte(text)}, "k8s/a.yaml": {}, "chart/Chart.yaml": {}}
		for _, m := range Read(files, "Tiltfile").Manifests {
			if _, err := files.Stat(m.Path); err != nil {
				t.Errorf("%s: %v", m.Path, err)
			}
		}
	})
}
