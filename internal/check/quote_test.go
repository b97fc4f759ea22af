package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/project"
)

// Advice to quote a value repeats it as its file has it: as a number it has another spelling.
func TestQuotingKeepsTheValue(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  key: "
	overlaid := project.Environment{Name: "prod", Paths: []string{"prod"}}
	plain := project.Environment{Name: "prod", Paths: []string{"k8s"}}
	for name, c := range map[string]struct {
		files map[string]string
		env   project.Environment
		want  string
	}{
		"zero at the end": {map[string]string{"k8s/a.yaml": config + "3.20 # ours\n"}, plain, `Quote it: "3.20"`},
		"octal":           {map[string]string{"k8s/a.yaml": config + "0022\n"}, plain, `Quote it: "0022"`},
		"large": {map[string]string{"k8s/a.yaml": config + "98765432109876543210\n"}, plain,
			`Quote it: "98765432109876543210"`},
		"off": {map[string]string{"k8s/a.yaml": config + "off\n"}, plain, `Quote it: "off"`},
		"alias": {map[string]string{"k8s/a.yaml": config + "&x 1_000\n  more: *x\n"}, plain,
			`Quote it: "1_000"; Quote it: "1_000"`},
		"tagged": {map[string]string{"k8s/a.yaml": config + "!!int \"07\"\n"}, plain, finding.Quote},
		"patched": {map[string]string{
			"k8s/kustomization.yaml": "resources: [a.yaml]\n", "k8s/a.yaml": config + "5.0\n",
			"prod/kustomization.yaml": "resources: [../k8s]\npatches: [{path: p.yaml}]\n",
			"prod/p.yaml":             config + "6.00\n"}, overlaid, `Quote it: "6.00"`},
		"a patch in the kustomization": {map[string]string{
			"k8s/kustomization.yaml": "resources: [a.yaml]\n", "k8s/a.yaml": config + "x\n",
			"prod/kustomization.yaml": "resources: [../k8s]\npatches:\n- patch: |-\n    " +
				strings.ReplaceAll(config, "\n", "\n    ") + "6.00\n"}, overlaid, finding.Quote},
		"a template": {chart(config+"{{ .Values.key }}\n", "key: 0022\n"), released(),
			"Put the value in quotes where it is set, and add `| quote` in the template."},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range checked(t, c.files, []group{{each: schemas}, {all: overrides}}, c.env) {
				if f.Rule == "wrong-type" {
					got = append(got, f.Fix)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
