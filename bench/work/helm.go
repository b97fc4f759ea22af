package work

import (
	"fmt"
	"regexp"
	"strings"
)

// Helm writes chart/, values-dev.yaml, values-staging.yaml, values-prod.yaml and a slipway.yaml. The
// chart says each kind once and repeats it for each service of its values.
func Helm(dir string, objects int) error {
	all, err := services(objects)
	if err != nil {
		return err
	}
	p := &project{dir: dir}
	p.file("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\nappVersion: \"2.3\"\n")
	p.file("chart/templates/_names.tpl", names)
	for _, kind := range kinds {
		p.file("chart/templates/"+kind+".yaml", template(kind, manifests[kind]))
	}
	p.file("chart/templates/env.yaml", template("env", envMap))
	p.file("chart/templates/ingress.yaml", ingressTemplate)
	var values strings.Builder
	for _, s := range all {
		fmt.Fprintf(&values, "  %s:\n    image: %s\n    port: %d\n    calls: %s\n    settings:\n      UPSTREAM: http://%s\n      greeting: hello from %s\n",
			s.Name, s.Image, s.Port, s.Calls, s.Calls, s.Name)
	}
	p.file("chart/values.yaml", defaultValues+values.String())
	var listed strings.Builder
	for _, e := range environments {
		p.file("values-"+e.Name+".yaml", fmt.Sprintf(envValues, e.Host, e.Registry, e.Tag, e.Replicas, e.MaxReplicas,
			e.CPU, e.Memory, e.LogLevel, e.Name, all[0].Name, e.LogLevel, all[1].Name, e.Replicas+1))
		fmt.Fprintf(&listed, environmentText, e.Name, e.Namespace, e.Name)
	}
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return p.err
}

// Namespace is where an environment's release goes.
func Namespace(name string) string {
	for _, e := range environments {
		if e.Name == name {
			return e.Namespace
		}
	}
	return "default"
}

const environmentText = `  %s:
    namespace: %s
    kubeVersion: 1.34.0
    charts:
    - path: chart
      release: rel
      values: [values-%s.yaml]
`

// named is where an object's labels go.
var named = regexp.MustCompile(`(?m)^metadata:\n  name: .*\n`)

// template turns a manifest of one service into a template of all.
func template(kind, manifest string) string {
	manifest = named.ReplaceAllString(manifest, "$0  labels:\n    {{- include \"shop.labels\" (dict \"root\" $$ \"name\" $$name) | nindent 4 }}\n")
	text := strings.NewReplacer(
		"acme/IMAGE", `{{ include "shop.image" (dict "root" $ "image" $s.image) }}`,
		"acme/worker", `{{ include "shop.image" (dict "root" $ "image" "worker") }}`,
		"NAME", `{{ include "shop.name" (dict "root" $ "name" $name) }}`,
		"CALLS", `{{ include "shop.name" (dict "root" $ "name" $s.calls) }}`,
		"PORT", `{{ $s.port }}`,
		"replicas: 1", `replicas: {{ $s.replicas | default $.Values.replicas }}`,
		"maxReplicas: 1", `maxReplicas: {{ $.Values.autoscaling.maxReplicas }}`,
		"  labels:\n    app.kubernetes.io/name: NAME\nspec:", "spec:",
		"          requests:\n            cpu: 20m\n            memory: 32Mi\n          limits:\n            memory: 512Mi\n", "          {{- toYaml $.Values.resources | nindent 10 }}\n",
	).Replace(manifest)
	if kind == "deployment" {
		text = strings.Replace(text, "    metadata:\n      labels:\n", "    metadata:\n      annotations:\n        checksum/env: {{ toYaml $s.settings | sha256sum }}\n      labels:\n", 1)
	}
	return "{{- range $name, $s := .Values.services }}\n---\n" + text + "{{- end }}\n"
}

const names = `{{- define "shop.name" -}}
{{ printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "shop.image" -}}
{{ .root.Values.image.registry }}/{{ .image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "shop.labels" -}}
app.kubernetes.io/name: {{ include "shop.name" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
`

const envMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: NAME-env
data:
  LOG_LEVEL: {{ $s.logLevel | default $.Values.logLevel | quote }}
  {{- range $k, $v := $s.settings }}
  {{ $k }}: {{ tpl $v $ | quote }}
  {{- end }}
`

const ingressTemplate = `{{- if .Values.ingress.enabled }}
apiVersion: {{ ternary "networking.k8s.io/v1" "networking.k8s.io/v1beta1" (.Capabilities.APIVersions.Has "networking.k8s.io/v1") }}
kind: Ingress
metadata:
  name: {{ .Release.Name }}-shop
  namespace: {{ .Release.Namespace }}
spec:
  rules:
  - host: {{ required "a host" .Values.ingress.host }}
    http:
      paths:
      {{- range $name, $s := .Values.services }}
      - path: /{{ $name }}
        pathType: Prefix
        backend:
          service:
            name: {{ include "shop.name" (dict "root" $ "name" $name) }}
            port:
              number: {{ $s.port }}
      {{- end }}
{{- end }}
`

const defaultValues = `
replicas: 1
logLevel: info
labels: {}
image:
  registry: acme
  tag: ""
autoscaling:
  maxReplicas: 1
resources:
  requests:
    cpu: 20m
    memory: 32Mi
  limits:
    memory: 512Mi
ingress:
  enabled: true
  host: localhost
services:
`

const envValues = `
ingress:
  host: %s
image:
  registry: %s
  tag: %s
replicas: %d
autoscaling:
  maxReplicas: %d
resources:
  requests:
    cpu: %s
    memory: %s
logLevel: %s
labels:
  env: %s
services:
  %s:
    logLevel: %s
  %s:
    replicas: %d
`
