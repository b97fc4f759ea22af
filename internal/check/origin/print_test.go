package origin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	sigs "sigs.k8s.io/yaml"
)

const odd = `# a comment
images:
- name: a   # one
  newTag: "1"

- {name: b, newTag: 012}
text: |
  two
  lines: [x]
base: &base {x: 1e3, y: no, z: ~, 'q q': "a, b"}
more:
  <<: *base
  empty:
  time: 2001-01-01
  url: http://x:80/a?b=c#d
  uni: "ü \u2028"
  neg: -0x1F
`

func TestPrintKeepsMeaningAndLines(t *testing.T) {
	var doc, again yaml.Node
	if err := yaml.Unmarshal([]byte(odd), &doc); err != nil {
		t.Fatal(err)
	}
	text := change{}.print(&doc)
	var want, got any
	if err := sigs.Unmarshal([]byte(odd), &want); err != nil {
		t.Fatal(err)
	}
	if err := sigs.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
	item := value(doc.Content[0], "images").Content[0]
	text = change{drop: map[*yaml.Node]bool{item: true}}.print(&doc)
	if err := yaml.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	left := value(again.Content[0], "images")
	if len(left.Content) != 1 || left.Content[0].Line != 6 || value(again.Content[0], "more").Line != 12 {
		t.Errorf("lines have moved:\n%s", text)
	}
}
