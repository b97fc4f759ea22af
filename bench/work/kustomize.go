package work

import (
	"fmt"
	"path"
	"strings"
)

// Kustomize writes base/, overlays/dev, overlays/staging, overlays/prod and a slipway.yaml.
func Kustomize(dir string, objects int) error {
	all, err := services(objects)
	if err != nil {
		return err
	}
	p := &project{dir: dir}
	var resources, generators, paths strings.Builder
	for _, s := range all {
		fill := strings.NewReplacer("NAME", s.Name, "IMAGE", s.Image, "CALLS", s.Calls, "PORT", fmt.Sprint(s.Port))
		for _, kind := range kinds {
			p.file(path.Join("base", s.Name, kind+".yaml"), fill.Replace(manifests[kind]))
			fmt.Fprintf(&resources, "- %s/%s.yaml\n", s.Name, kind)
		}
		generators.WriteString(fill.Replace(generator))
		paths.WriteString(fill.Replace(ingressPath))
		p.file(path.Join("base", s.Name, "app.properties"), fmt.Sprintf("greeting=hello from %s\ncache.size=%d\n", s.Name, s.Port))
	}
	p.file("base/ingress.yaml", ingress+paths.String())
	p.file("base/kustomization.yaml", "resources:\n- ingress.yaml\n"+resources.String()+"configMapGenerator:\n"+generators.String())
	var listed strings.Builder
	for _, e := range environments {
		overlay(p, e, all)
		fmt.Fprintf(&listed, "  %s:\n    path: overlays/%s\n", e.Name, e.Name)
	}
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return p.err
}

// overlay uses each transformer that people use: what differs is said once, in the way of its kind.
func overlay(p *project, e environment, all []service) {
	var replicas strings.Builder
	for _, s := range all[:3] {
		fmt.Fprintf(&replicas, "- name: %s\n  count: %d\n", s.Name, e.Replicas+1)
	}
	var tags strings.Builder
	for _, image := range images {
		fmt.Fprintf(&tags, "- name: acme/%s\n  newName: %s/%s\n  newTag: %s\n", image, e.Registry, image, e.Tag)
	}
	dir := path.Join("overlays", e.Name)
	p.file(path.Join(dir, "kustomization.yaml"), fmt.Sprintf(overlayText, e.Name, e.Namespace, e.Name,
		replicas.String(), tags.String(), all[0].Name, e.LogLevel, e.MaxReplicas, e.Host))
	p.file(path.Join(dir, "resources.yaml"), fmt.Sprintf(resourcesPatch, all[1].Name, e.CPU, e.Memory))
}

const overlayText = `
resources:
- ../../base
namePrefix: %s-
namespace: %s
labels:
- pairs:
    env: %s
  includeTemplates: true
replicas:
%simages:
%sconfigMapGenerator:
- name: %s-env
  behavior: merge
  literals:
  - LOG_LEVEL=%s
patches:
- path: resources.yaml
- target:
    kind: HorizontalPodAutoscaler
  patch: |-
    - op: replace
      path: /spec/maxReplicas
      value: %d
- target:
    kind: Ingress
    name: shop
  patch: |-
    - op: replace
      path: /spec/rules/0/host
      value: %s
`

const resourcesPatch = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %s
spec:
  template:
    spec:
      containers:
      - name: app
        resources:
          requests:
            cpu: %s
            memory: %s
      - name: proxy
        image: acme/api
        ports:
        - containerPort: 9000
`

const generator = `- name: NAME-env
  literals:
  - LOG_LEVEL=info
  - UPSTREAM=http://CALLS
  files:
  - NAME/app.properties
`

const ingress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
spec:
  rules:
  - host: localhost
    http:
      paths:
`

const ingressPath = `      - path: /NAME
        pathType: Prefix
        backend:
          service:
            name: NAME
            port:
              number: PORT
`
