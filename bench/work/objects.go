package work

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Objects writes a project of n plain objects, half of them ConfigMaps, a quarter Services and a quarter
// Deployments without pods, and returns the file that holds them. Its environment is called env.
func Objects(dir, env string, n int) (string, error) {
	var all strings.Builder
	for i := range n {
		name := fmt.Sprintf("app-%05d", i/4)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&all, plainDeployment, name)
		case 1:
			fmt.Fprintf(&all, plainService, name)
		default:
			fmt.Fprintf(&all, plainConfig, name, i%4, i)
		}
	}
	file := filepath.Join(dir, "k8s", "all.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	project := fmt.Sprintf("project: bench\nenvironments:\n  %s: {path: k8s, class: local}\n", env)
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(project), 0o644); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, []byte(all.String()), 0o644)
}

// ChartDir is the directory that Chart writes, in that of the project.
const ChartDir = "chart"

// Chart writes a Helm chart of the objects of a file. Its templates contain no expressions.
func Chart(dir, objects string) error {
	text, err := os.ReadFile(objects)
	if err != nil {
		return err
	}
	p := &project{dir: filepath.Join(dir, ChartDir)}
	p.file("Chart.yaml", "apiVersion: v2\nname: bench\nversion: 1.0.0\n")
	p.file("templates/all.yaml", string(text))
	return p.err
}

const plainDeployment = `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels: {app.kubernetes.io/name: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app.kubernetes.io/name: %[1]s}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: %[1]s}
    spec:
      containers:
      - name: app
        image: ghcr.io/acme/app:v1
        args: [serve, --port=8080]
        envFrom: [{configMapRef: {name: %[1]s-2}}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}}
        resources:
          requests: {cpu: 50m, memory: 64Mi}
          limits: {memory: 128Mi}
`

const plainService = `---
apiVersion: v1
kind: Service
metadata:
  name: %[1]s
  labels: {app.kubernetes.io/name: %[1]s}
spec:
  selector: {app.kubernetes.io/name: %[1]s}
  ports: [{name: http, port: 80, targetPort: http}]
`

const plainConfig = `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: %[1]s-%[2]d
  labels: {app.kubernetes.io/name: %[1]s}
data:
  LEVEL: info
  NUMBER: "%[3]d"
  settings.toml: |
    [server]
    address = ":8080"
    timeout = "30s"
`

// Ready writes a project of one Deployment with a readiness probe, which runs an image.
func Ready(dir, env, image string, replicas int) error {
	project := fmt.Sprintf("project: bench\nenvironments:\n  %s: {path: k8s, class: local}\n", env)
	text := strings.NewReplacer("replicas: 0", fmt.Sprint("replicas: ", replicas), "ghcr.io/acme/app:v1", image,
		"        envFrom: [{configMapRef: {name: ready-2}}]\n", "").Replace(fmt.Sprintf(plainDeployment, "ready"))
	if err := os.MkdirAll(filepath.Join(dir, "k8s"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(project), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "k8s", "all.yaml"), []byte(text), 0o644)
}
