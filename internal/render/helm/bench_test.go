package helm_test

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/project"
	"slipway/internal/render/helm"
	"slipway/internal/render/tree"
)

// shop is a chart that repeats two objects for each service of its values, with values for three
// environments.
func shop(services int) string {
	values := "image: {tag: dev}\nresources: {limits: {memory: 512Mi}}\nlabels: {}\nservices:\n"
	for i := range services {
		values += fmt.Sprintf("  svc-%03d: {port: %d, env: {UPSTREAM: http://svc-%03d, greeting: hello}}\n",
			i, 8000+i, i+1)
	}
	text := meta + "-- values.yaml --\n" + values + `-- templates/_names.tpl --
{{- define "name" -}}{{ printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" }}{{- end }}
{{- define "labels" -}}
app.kubernetes.io/name: {{ include "name" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
-- templates/all.yaml --
{{- range $name, $s := .Values.services }}
{{- $me := dict "root" $ "name" $name }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "name" $me }}
  labels:
    {{- include "labels" $me | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "labels" $me | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "labels" $me | nindent 8 }}
    spec:
      containers:
      - name: app
        image: "acme/app:{{ $.Values.image.tag }}"
        args: ["serve", "--port", "{{ $s.port }}"]
        env:
        {{- range $k, $v := $s.env }}
        - name: {{ $k }}
          value: {{ tpl $v $ | quote }}
        {{- end }}
        resources:
          {{- toYaml $.Values.resources | nindent 10 }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "name" $me }}
  labels:
    {{- include "labels" $me | nindent 4 }}
spec:
  ports:
  - port: {{ $s.port }}
    targetPort: http
{{- end }}
`
	for _, env := range []string{"dev", "staging", "prod"} {
		text += fmt.Sprintf("-- %s.yaml --\nimage: {tag: sha-%s}\nlabels: {env: %s}\n", env, env, env)
	}
	return text
}

// BenchmarkThreeEnvironments is one process's work for three environments of one chart.
func BenchmarkThreeEnvironments(b *testing.B) {
	for _, services := range []int{15, 150, 1500} {
		dir := chartDir(b, shop(services))
		b.Run(fmt.Sprint(2*services, " objects"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				root, err := tree.Open(dir, nil)
				if err != nil {
					b.Fatal(err)
				}
				engine := helm.New(helm.Config{})
				for _, env := range strings.Fields("dev staging prod") {
					r, err := engine.Render(root.View(b.Context()), project.Chart{Path: ".", Release: "rel",
						Values: []string{env + ".yaml"}}, helm.Options{})
					if err != nil || len(r.Objects) != 2*services {
						b.Fatal(len(r.Objects), err)
					}
				}
				root.Close()
			}
		})
	}
}
