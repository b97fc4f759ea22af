package helm

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// samples are documents at the limits of the fast reader.
var samples = []string{
	"a: 1\nb:\n  c: x\n", "a:\n- b: 1\n  c: [x, 'y', {d: e}]\n- f\n",
	"a: |\n  x\n\n   y\n\nb: |-\n  z\nc: |+\n  w\n\n",
	"a: \"x\\n\\\"y\" # c\nb: 'it''s'\n", "a: yes\n", "a: 012\n", "a: 1e3\n", "a: 30s\nb: 80%\nc: 0x1f\n",
	"- a\n", "a: b: c\n",
	"a: x\n  y\n", "a:\n  b: 1\n c: 2\n", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "\"a b\": c\n.d: e\n/f: g\n",
	"a: {}\nb: []\nc:\n",
	"a:\n-\n  b: 1\n- |\n  c\n", "a: x#y #z\n", "y: 1\n", "a: --x=1\nb: -c\nd: $(E)\n",
	"a: 2001-01-01T00:00:00Z\n", "a: |\n  x", "a: -1\n",
	"a: ~\nb: null\nc: Null\n", "a: >\n  x\n", "a: {b: c, b: d}\n", "a: [b,]\n", "a: [[], {b: [c]}]\n",
	"a: \"x\n  y\"\n", "a: |\n\n  x\n  \nb: c\n",
	"a: 1abc9\nb: 0.5m\nc: 0x1g\nd: 1_000\ne: 12:30k\n", "a: 5e3\n", "a : b\n", "a:b\n", "a: 'b'c\n",
	"a: \"b\"#c\n", "- - a\n", "? a\n: b\n", "a: [b?]\n", "a:\n    - b\n    - c:\n        d: e\n      f: g\n",
	"a: b\n...\nc: d\n",
}

// FuzzPlain compares the fast reader with the full one.
func FuzzPlain(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Add("a" + strings.Repeat("&", 1100) + ": 0\n") // longer than a key can be
	templates, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range templates {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := plainYAML(text)
		if !ok {
			return
		}
		asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v: and yet %v", text, err, got)
		}
		var want map[string]any
		if err := utiljson.Unmarshal(bytes.TrimSpace(asJSON), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: want - got +:\n%s", text, diff)
		}
	})
}
