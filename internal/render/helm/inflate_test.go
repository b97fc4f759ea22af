package helm_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/render/helm"
	"slipway/internal/render/tree"
)

func TestInflate(t *testing.T) {
	root, err := tree.Open(chartDir(t, "-- k/more.yaml --\nb: more\n-- charts/web/Chart.yaml --\napiVersion: "+
		"v2\nname: web\nversion: 1.0.0\n-- charts/web/values.yaml --\na: own\nb: own\nnum: 1\n"+
		"-- charts/web/templates/c.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  v: "+
		"{{ .Release.Name }} {{ .Release.Namespace }} {{ .Values.a }} {{ .Values.b }} {{ .Values.num }} {{ "+
		".Capabilities.KubeVersion.Minor }}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	engine := helm.New(helm.Config{})
	for _, c := range []struct {
		h      types.HelmChart
		values map[string]any
		want   string
	}{
		{types.HelmChart{}, nil, "release-name default own own 1 37"},
		{types.HelmChart{ReleaseName: "r", Namespace: "n", KubeVersion: "1.30",
			AdditionalValuesFiles: []string{"k/more.yaml"}}, map[string]any{"a": "in", "b": "in", "num": 1234567},
			"r n in more 1.234567e+06 30"},
		{types.HelmChart{NameTemplate: "x-{{ upper `a` | lower }}"}, nil, "x-a default own own 1 37"},
		{types.HelmChart{NameTemplate: "x-{{ randAlpha 9 | lower }}"}, nil, "differently each time"},
		{types.HelmChart{NameTemplate: "x", ReleaseName: "y"}, nil, "cannot both name the release"},
	} {
		r, err := engine.Inflate(root.View(t.Context()), c.h, "charts/web", c.values)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c.h, err)
			}
			continue
		}
		if got := r.Objects[0].At("data", "v"); got != c.want {
			t.Errorf("got %v, want %s", got, c.want)
		}
	}
	for want, h := range map[string]types.HelmChart{
		"no chart in charts/other":                   {},
		"charts are fetched only from the addresses": {Name: "other", Repo: "https://a.b", Version: "1.0.0"},
		`"" is not an exact version`:                 {Name: "other", Repo: "https://a.b"},
	} {
		if _, err := engine.Inflate(root.View(t.Context()), h, "charts/other", nil); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
