package project

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/render/foldertest"
)

// docs/slipway.yaml.md lists every key that the parser knows, and no other; its example is read.
func TestDocumentation(t *testing.T) {
	b, err := os.ReadFile("../../docs/slipway.yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	_, rest, _ := strings.Cut(text, "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	dir := foldertest.Of(t, map[string]string{
		"Dockerfile": "", "worker/Dockerfile.release": "",
		"k8s/redis.yaml": "", "k8s/overlays/dev/": "", "k8s/overlays/staging/": "", "k8s/overlays/prod/": "",
	})
	p, err := Parse(dir, []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Images) != 2 || len(p.Environments) != 3 {
		t.Errorf("%+v", p)
	}
	for section, start := range map[string]string{
		"## The file":       "%: x\n",
		"## An image":       "project: a\nimages: [{%: x}]\n",
		"## An environment": "project: a\nenvironments: {dev: {%: x}}\n",
		"## A chart":        "project: a\nenvironments: {dev: {charts: [{%: x}]}}\n",
		"## A signature":    "project: a\nenvironments: {dev: {signatures: [{%: x}]}}\n",
		"## An exception":   "project: a\nexceptions: [{%: x}]\n",
	} {
		_, rest, found := strings.Cut(text, section+"\n")
		table, _, _ := strings.Cut(rest, "\n## ")
		var documented []string
		for _, m := range regexp.MustCompile("(?m)^\\| ((?:`[a-zA-Z]+` )+)").FindAllStringSubmatch(table, -1) {
			documented = append(documented, strings.Fields(strings.ReplaceAll(m[1], "`", ""))...)
		}
		slices.Sort(documented)
		// An unlikely key makes the parser list those that it knows.
		_, err := Parse(dir, []byte(strings.ReplaceAll(start, "%", "qqqqqqqqqqqqqqqqqqqq")))
		m := regexp.MustCompile(`\(known: (.*)\)`).FindStringSubmatch(err.Error())
		if !found || m == nil {
			t.Fatalf("%s: %v", section, err)
		}
		if diff := cmp.Diff(strings.Split(m[1], ", "), documented); diff != "" {
			t.Errorf("%s: -known +documented\n%s", section, diff)
		}
	}
}
