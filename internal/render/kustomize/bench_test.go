package kustomize_test

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/render/kustomize"
)

// project returns a base of n objects and three typical overlays.
func project(n int) map[string]string {
	files := map[string]string{}
	var resources strings.Builder
	for i := range (n - 1) / 5 {
		app := fmt.Sprintf("app%d", i)
		files["base/"+app+".yaml"] = strings.NewReplacer("APP", app).Replace(application)
		resources.WriteString("- " + app + ".yaml\n")
	}
	files["base/kustomization.yaml"] = "resources:\n" + resources.String() +
		"configMapGenerator:\n- name: shared\n  literals: [a=b, c=d]\n"
	for _, env := range []string{"dev", "staging", "prod"} {
		files[env+"/kustomization.yaml"] = strings.NewReplacer("ENV", env).Replace(overlay)
		files[env+"/patch.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app1}\nspec: " +
			"{template: {spec: {containers: [{name: app, env: [{name: ENV, value: " + env + "}]}]}}}\n"
	}
	return files
}

const overlay = `resources: [../base]
namespace: ENV
namePrefix: ENV-
labels:
- pairs: {env: ENV, team: shop}
  includeTemplates: true
commonAnnotations: {owner: me}
images:
- {name: ghcr.io/acme/app0, newTag: "2"}
- {name: ghcr.io/acme/app1, newName: example.com/app1, digest: sha256:24a0c4b4a4c0eb97a1aabb8e29f18e917d05abfe1b7a7c07857230879ce7d3d3}
replicas: [{name: app1, count: 3}]
patches:
- path: patch.yaml
- target: {kind: Deployment}
  patch: |
    - op: add
      path: /spec/revisionHistoryLimit
      value: 3
configMapGenerator:
- name: settings
  literals: [env=ENV]
`

const application = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: APP
  labels: {app: APP}
spec:
  replicas: 1
  selector:
    matchLabels: {app: APP}
  template:
    metadata:
      labels: {app: APP}
    spec:
      serviceAccountName: APP
      containers:
      - name: app
        image: ghcr.io/acme/APP:1.0
        args: ["--port", "8080"]
        ports:
        - containerPort: 8080
          name: http
        envFrom:
        - configMapRef: {name: APP}
        - configMapRef: {name: shared}
        env:
        - name: POD
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {memory: 128Mi}
        livenessProbe:
          httpGet: {path: /healthz, port: http}
          periodSeconds: 10
        readinessProbe:
          httpGet: {path: /ready, port: http}
      volumes:
      - name: config
        configMap: {name: APP}
---
apiVersion: v1
kind: Service
metadata:
  name: APP
spec:
  selector: {app: APP}
  ports:
  - port: 80
    targetPort: http
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: APP
data:
  LOG_LEVEL: info
  app.conf: |
    listen = 8080
    name = "APP"
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: APP
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: APP
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: APP}
  minReplicas: 1
  maxReplicas: 5
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}
`

// Three environments in one process, from an empty cache to YAML.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{31, 301, 3001} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := treeOf(b, project(n)).Dir()
			for b.Loop() {
				root := open(b, dir)
				builder := kustomize.New(root)
				for _, env := range []string{"dev", "staging", "prod"} {
					r, err := builder.Build(root.View(b.Context()), env, kustomize.Options{})
					if err != nil {
						b.Fatal(err)
					}
					text(b, r.Objects)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*3*n), "µs/object")
		})
	}
}
