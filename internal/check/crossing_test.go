package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/check/finding"
	"slipway/internal/project"
)

func TestAutoscalerBesideReplicas(t *testing.T) {
	runCases(t, project.Staging, []group{{each: resets}, {each: selectors}}, map[string]ruleCase{
		"both":        {all(api, scaler), []string{"✗ hpa-replicas spec.replicas"}},
		"no replicas": {all(edited(api, "  replicas: 2\n", ""), scaler), nil},
		"of another": {all(api, edited(scaler, "kind: Deployment, name: api",
			"kind: Deployment, name: web")), nil},
		"of a StatefulSet": {all(api, edited(scaler, "kind: Deployment", "kind: StatefulSet")), nil},
		"in another place": {all(api, edited(scaler, "{name: api}", "{name: api, namespace: other}")), nil},
		"KEDA": {all(api, "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: "+
			"api}\nspec: {scaleTargetRef: {name: api}}\n"), []string{"✗ hpa-replicas spec.replicas"}},
		"replicas by no one": {api, nil},
		"switched off by one": {all(edited(api, "replicas: 2", "replicas: 0"), scaler),
			[]string{"✗ hpa-replicas spec.replicas"}},
	})
}

// overlays is a project of a base and two overlays with more in their kustomizations.
func overlays(dev, prod, base string) map[string]string {
	return map[string]string{
		"base/all.yaml":           all(api, service),
		"base/kustomization.yaml": "resources: [all.yaml]\n" + base,
		"dev/kustomization.yaml":  "resources: [../base]\n" + dev,
		"prod/kustomization.yaml": "resources: [../base]\n" + prod,
	}
}

func TestSelectorChanges(t *testing.T) {
	const common = "commonLabels: # ours\n  # where it runs\n  env: prod # at last\n  team: \"a: " +
		"b\"\nnamePrefix: p-\n"
	for name, c := range map[string]struct {
		dev, prod, base string
		want            []string
		fixed           string // the end of prod's kustomization
	}{
		"in one overlay": {prod: common, want: []string{"prod/kustomization.yaml:2:1"},
			fixed: "labels: # ours\n  - pairs:\n      # where it runs\n      env: prod # at last\n      team: \"a: " +
				"b\"\n    includeSelectors: false\n    includeTemplates: true\nnamePrefix: p-\n"},
		"in both, and other ones": {dev: "commonLabels: {env: dev}\n", prod: "commonLabels: {env: prod}\n",
			want: []string{"dev/kustomization.yaml:2:1", "prod/kustomization.yaml:2:1"}},
		"in both, and the same": {dev: "commonLabels: {env: x}\n", prod: "commonLabels: {env: x}\n"},
		"in the base":           {base: "commonLabels: {env: x}\n"},
		"beside labels": {prod: "labels: []\ncommonLabels:\n  env: prod\n",
			want: []string{"prod/kustomization.yaml:3:1"}},
		"last line has no end": {prod: "commonLabels:\n  env: prod", want: []string{"prod/kustomization.yaml:2:1"},
			fixed: "labels:\n  - pairs:\n      env: prod\n    includeSelectors: false\n    includeTemplates: true"},
		"labels into selectors": {prod: "labels:\n  - pairs: {env: prod}\n    includeSelectors: true\n",
			want:  []string{"prod/kustomization.yaml:4:5"},
			fixed: "labels:\n  - pairs: {env: prod}\n    includeSelectors: false\n    includeTemplates: true\n"},
		"labels beside selectors": {prod: "labels:\n  - pairs: {env: prod}\n    includeTemplates: true\n"},
		"annotations":             {prod: "commonAnnotations: {env: prod}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			files := overlays(c.dev, c.prod, c.base)
			findings := checked(t, files, []group{{each: resets}, {each: selectors}},
				project.Environment{Name: "dev", Paths: []string{"dev"}, Class: project.Local},
				project.Environment{Name: "prod", Paths: []string{"prod"}, Class: project.Production})
			var got []string
			for _, f := range findings {
				got = append(got, f.Place.String())
				if c.fixed == "" {
					if len(f.Edits) > 0 {
						t.Errorf("an unexpected edit: %v", f.Edits)
					}
					continue
				}
				text := edit(t, files["prod/kustomization.yaml"], f.Edits)
				if diff := cmp.Diff("resources: [../base]\n"+c.fixed, text); diff != "" {
					t.Error(diff)
				}
				files["prod/kustomization.yaml"] = text // which is well
				again := checked(t, files, []group{{each: resets}, {each: selectors}},
					project.Environment{Name: "dev", Paths: []string{"dev"}},
					project.Environment{Name: "prod", Paths: []string{"prod"}})
				if len(again) > 0 {
					t.Error(brief(again))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func edit(t *testing.T, text string, edits []finding.Edit) string {
	t.Helper()
	if len(edits) != 1 {
		t.Fatalf("%d edits", len(edits))
	}
	e := edits[0]
	return text[:e.Start] + e.New + text[e.End:]
}

func chart(template, values string) map[string]string {
	return map[string]string{
		"chart/Chart.yaml":         "apiVersion: v2\nname: api\nversion: 0.1.0\n",
		"chart/values.yaml":        "image:\n  repository: localhost:5000/api\n  tag: dev\n",
		"chart/templates/all.yaml": template,
		"values-prod.yaml":         values,
	}
}

var templated = strings.Replace(api, "ghcr.io/acme/api:1.2.3",
	`"{{ .Values.image.repository }}:{{ .Values.image.tag }}"`, 1)

func released() project.Environment {
	return project.Environment{Name: "prod", Class: project.Production,
		Charts: []project.Chart{{Path: "chart", Release: "api", Values: []string{"values-prod.yaml"}}}}
}

func TestNumericTags(t *testing.T) {
	for name, c := range map[string]struct{ tag, want, makes string }{
		"digits":            {"1234567", "✗", "1.234567e+06"},
		"octal":             {"0123456", "✗", "42798"},
		"zero and a nine":   {"0891234", "✗", "891234"},
		"exponent":          {"12345e6", "✗", "1.2345e+10"},
		"year and month":    {"2026.10", "✗", "2026.1"},
		"version of two":    {"1.27", "!", "drops a zero"},
		"one digit":         {"7", "", ""},
		"quoted":            {`"1234567"`, "", ""},
		"quoted once":       {"'1234567'", "", ""},
		"a commit":          {"sha-1234567", "", ""},
		"hash with letters": {"12c4567", "", ""},
		"overflows":         {"123e456", "", ""},
		"version":           {"1.2.3", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := chart(templated, "# é\nimage:\n  repository: ghcr.io/acme/api # ours\n  tag: "+c.tag+" # it\n")
			findings := checked(t, files, []group{{each: numericTags}}, released())
			if c.want == "" {
				if len(findings) > 0 {
					t.Fatal(findings)
				}
				return
			}
			if len(findings) != 1 {
				t.Fatalf("%d findings", len(findings))
			}
			f := findings[0]
			if got := brief(findings)[0]; got != c.want+" image-numeric-tag" ||
				f.Place.String() != "values-prod.yaml:4:8" || !strings.Contains(f.Message, c.makes) {
				t.Errorf("%s at %s: %s", got, f.Place, f.Message)
			}
			if diff := cmp.Diff("# é\nimage:\n  repository: ghcr.io/acme/api # ours\n  tag: \""+c.tag+"\" # it\n",
				edit(t, files["values-prod.yaml"], f.Edits)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// A tag that is not rendered is only a warning; a tag of anything but an image is not a finding.
	for values, want := range map[string]string{
		"image: {repository: ghcr.io/acme/api, tag: a}\nsidecar: {image: {tag: 1234567}}\n": "! image-numeric-tag",
		"image: {repository: ghcr.io/acme/api, tag: a}\nbuild: {tag: 1234567}\n":            "",
		"image: {repository: ghcr.io/acme/api, tag: a}\nport: 1234567\n":                    "",
	} {
		if got := strings.Join(brief(checked(t, chart(templated, values),
			[]group{{each: numericTags}}, released())),
			"\n"); got != want {
			t.Errorf("%s: %q", values, got)
		}
	}
}

// The tutorial's fault: production's registry with the laptop's tag.
func TestTagFallsThrough(t *testing.T) {
	findings := checked(t, chart(templated, "image:\n  repository: ghcr.io/acme/api\n"),
		[]group{{each: images}}, released())
	if len(findings) != 1 || findings[0].Place.String() != "values-prod.yaml:1:1" ||
		!strings.Contains(findings[0].Message, "ghcr.io/acme/api:dev") || !strings.Contains(findings[0].Message,
		"chart/values.yaml:3") {
		t.Error(findings)
	}
	// Said by the file itself: the place is the field's.
	findings = checked(t, chart(templated, "image:\n  repository: ghcr.io/acme/api\n  tag: dev\n"),
		[]group{{each: images}}, released())
	if len(findings) != 1 || strings.Contains(findings[0].Message, "default") {
		t.Error(findings)
	}
}

func TestUnstableRender(t *testing.T) {
	files := chart(templated+"---\napiVersion: v1\nkind: Secret\nmetadata: {name: api}\nstringData: "+
		"{password: {{ randAlphaNum 8 }}}\n", "image: {repository: ghcr.io/acme/api, tag: a}\n")
	if diff := cmp.Diff([]string{"! unstable-render"},
		brief(checked(t, files, []group{{each: resets}, {each: selectors}}, released()))); diff != "" {
		t.Error(diff)
	}
	files["chart/templates/all.yaml"] = templated
	if got := checked(t, files, []group{{each: resets}, {each: selectors}}, released()); len(got) > 0 {
		t.Error(got)
	}
}
