package render

import (
	"slices"
	"testing"

	"slipway/internal/project"
	"slipway/internal/render/foldertest"
)

// Two environments with one deprecated file: its warning comes once. The one between, which does not render,
// does not stop them.
func TestEach(t *testing.T) {
	const old = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\n"
	dir := foldertest.Of(t, map[string]string{
		"base/kustomization.yaml": "resources: [c.yaml]\ncommonLabels: {app: web}\n", "base/c.yaml": configMap("c"),
		"dev/kustomization.yaml": old, "prod/kustomization.yaml": old,
		"broken/kustomization.yaml": "resources: [missing.yaml]\n",
	})
	p := project.Project{Dir: dir}
	for _, name := range []string{"dev", "broken", "prod"} {
		p.Environments = append(p.Environments, project.Environment{Name: name, Paths: []string{name}})
	}
	for _, f := range []Form{{Text: true}, {Digest: true}} {
		r, err := OpenProject(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var warnings, digests, failed []string
		for result := range r.Each(t.Context(), p.Environments, f) {
			warnings = append(warnings, result.Warnings...)
			if result.Err != nil {
				failed = append(failed, result.Environment.Name)
				continue
			}
			digests = append(digests, result.Digest)
			if (len(result.YAML) > 0) != f.Text || (len(result.Objects) > 0) == f.Text {
				t.Errorf("%+v: %d bytes and %d objects", f, len(result.YAML), len(result.Objects))
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if len(warnings) != 1 || !slices.Equal(failed, []string{"broken"}) || len(digests) != 2 ||
			digests[0] != digests[1] || (digests[0] == "") == f.Digest {
			t.Errorf("%+v: warnings %q, failed %q, digests %q", f, warnings, failed, digests)
		}
	}
}
