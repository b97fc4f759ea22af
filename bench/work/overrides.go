package work

import (
	"fmt"
	"path"
	"strings"
)

// Overrides writes services whose overlays say something of each one: its image, and in staging and prod
// its replicas and an operation on its memory. It says how many overrides the environments have together.
func Overrides(dir string, services int) (int, error) {
	p := &project{dir: dir}
	var bases, tags, replicas, patches strings.Builder
	for i := range services {
		fill := strings.NewReplacer("NAME", fmt.Sprintf("svc%02d", i))
		base := path.Join("base", fill.Replace("NAME"))
		p.file(base+"/kustomization.yaml", fill.Replace("resources: [objects.yaml]\nlabels:\n- pairs: {app.kubernetes.io/name: NAME}\n"))
		p.file(base+"/objects.yaml", fill.Replace(smallService))
		bases.WriteString(fill.Replace("- NAME\n"))
		tags.WriteString(fill.Replace("- {name: NAME, newName: ghcr.io/acme/NAME, newTag: sha-1234567}\n"))
		replicas.WriteString(fill.Replace("- {name: NAME, count: 3}\n"))
		patches.WriteString(fill.Replace(memoryPatch))
	}
	p.file("base/kustomization.yaml", "resources:\n"+bases.String()+"configMapGenerator:\n- name: settings\n  literals: [LOG=none, REGION=x]\n")
	var listed strings.Builder
	count := 0
	for i, e := range environments {
		text := fmt.Sprintf(smallOverlay, e.Name, e.Name, e.LogLevel) + "images:\n" + tags.String()
		count += 2*services + 5 // images and the base's labels; namespace, label, three literals
		if i > 0 {
			text += "replicas:\n" + replicas.String() + "patches:\n" + patches.String()
			count += 2 * services
		}
		p.file("overlays/"+e.Name+"/kustomization.yaml", text)
		fmt.Fprintf(&listed, "  %s: {path: overlays/%s}\n", e.Name, e.Name)
	}
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return count, p.err
}

// Values writes a chart and a file of so many values for each environment, every one of them read. It says
// how many these are together.
func Values(dir string, leaves int) (int, error) {
	p := &project{dir: dir}
	p.file("chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")
	var template, listed strings.Builder
	template.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n")
	for i := range leaves {
		fmt.Fprintf(&template, "  KEY%d: {{ .Values.settings.key%d | quote }}\n", i, i)
	}
	p.file("chart/templates/settings.yaml", template.String())
	values := func(file, says string) {
		text := "settings:\n"
		for i := range leaves {
			text += fmt.Sprintf("  key%d: %s-%d\n", i, says, i)
		}
		p.file(file, text)
	}
	values("chart/values.yaml", "default")
	for _, e := range environments {
		values("values-"+e.Name+".yaml", e.Name)
		fmt.Fprintf(&listed, environmentText, e.Name, e.Namespace, e.Name)
	}
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return leaves * len(environments), p.err
}

const smallService = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: http, name: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers:
      - name: app
        image: NAME
        ports: [{containerPort: 8080, name: http}]
        envFrom: [{configMapRef: {name: settings}}]
        resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
        readinessProbe: {httpGet: {path: /ready, port: http}}
        livenessProbe: {httpGet: {path: /live, port: http}}
`

const smallOverlay = `
resources: [../../base]
namespace: %s
labels:
- pairs: {env: %s}
configMapGenerator:
- name: settings
  behavior: merge
  literals: [LOG=%s]
`

const memoryPatch = `- target: {kind: Deployment, name: NAME}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/resources/limits/memory
      value: 256Mi
`
