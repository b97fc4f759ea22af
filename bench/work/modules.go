package work

import (
	"fmt"
	"path"
	"strings"
)

// Modules writes a skaffold.yaml that requires one configuration for each service. Each service has a base, and
// an overlay for each environment with components that all services share.
func Modules(dir string, services int) error {
	p := &project{dir: dir}
	var required, listed strings.Builder
	p.file("components/common/kustomization.yaml", commonComponent)
	for i, e := range environments {
		p.file("components/"+e.Name+"/kustomization.yaml", fmt.Sprintf(ownComponent, e.Name, 10*(i+1)))
		fmt.Fprintf(&listed, "  %s: {skaffold: {file: skaffold.yaml, profiles: [%s]}}\n", e.Name, e.Name)
	}
	for i := range services {
		name := fmt.Sprintf("svc%02d", i)
		fill := strings.NewReplacer("NAME", name)
		fmt.Fprintf(&required, "- {configs: [%s], path: %s}\n", name, name)
		module := fill.Replace("apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: NAME}\ndeploy: {kubectl: {}}\nprofiles:\n")
		base := path.Join(name, "k8s/base")
		p.file(base+"/kustomization.yaml", "resources: [objects.yaml]\ncomponents: [../../../components/common]\n"+
			"configMapGenerator:\n- name: settings-"+name+"\n  literals: [LOG=none]\n")
		p.file(base+"/objects.yaml", fill.Replace(strings.ReplaceAll(smallService, "name: settings", "name: settings-NAME")))
		for j, e := range environments {
			module += fmt.Sprintf("- name: %s\n  manifests: {kustomize: {paths: [k8s/overlays/%s]}}\n", e.Name, e.Name)
			p.file(path.Join(name, "k8s/overlays", e.Name, "kustomization.yaml"), fill.Replace(
				fmt.Sprintf(moduleOverlay, e.Name, e.Namespace, j+1, e.Registry, e.Tag, j)))
		}
		p.file(name+"/skaffold.yaml", module)
	}
	p.file("skaffold.yaml", "apiVersion: skaffold/v4beta13\nkind: Config\nmetadata: {name: shop}\nrequires:\n"+required.String())
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return p.err
}

const commonComponent = `
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
labels:
- pairs: {app.kubernetes.io/part-of: shop}
patches:
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/template/spec/terminationGracePeriodSeconds
      value: 30
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/template/spec/automountServiceAccountToken
      value: false
`

const ownComponent = `
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
labels:
- pairs: {environment: %s}
patches:
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/minReadySeconds
      value: %d
`

const moduleOverlay = `
resources: [../../base]
components: [../../../../components/%s]
namespace: %s
replicas:
- {name: NAME, count: %d}
images:
- {name: NAME, newName: %s/NAME, newTag: %s}
patches:
- target: {kind: Deployment, name: NAME}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/resources/limits/memory
      value: 25%dMi
`

// Nested writes three overlays of which each is made of the one before: dev of the bases of all services,
// staging of dev, prod of staging. A component is shared by all of them.
func Nested(dir string, services int) error {
	p := &project{dir: dir}
	var bases, listed strings.Builder
	p.file("components/common/kustomization.yaml", commonComponent)
	for i := range services {
		fill := strings.NewReplacer("NAME", fmt.Sprintf("svc%02d", i))
		base := path.Join("base", fill.Replace("NAME"))
		p.file(base+"/kustomization.yaml", fill.Replace("resources: [objects.yaml]\nlabels:\n- pairs: {app.kubernetes.io/name: NAME}\n"))
		p.file(base+"/objects.yaml", fill.Replace(smallService))
		bases.WriteString(fill.Replace("- ../../base/NAME\n"))
	}
	below := "components: [../../components/common]\nresources:\n" + bases.String() +
		"configMapGenerator:\n- name: settings\n  literals: [LOG=none]\n"
	for i, e := range environments {
		text := below + fmt.Sprintf("namespace: %s\nlabels:\n- pairs: {env: %s}\n", e.Namespace, e.Name)
		var tags, replicas, patches strings.Builder
		for j := range services {
			fill := strings.NewReplacer("NAME", fmt.Sprintf("svc%02d", j))
			image := "NAME"
			if i > 0 {
				image = environments[i-1].Registry + "/NAME"
			}
			tags.WriteString(fill.Replace(fmt.Sprintf("- {name: %s, newName: %s/NAME, newTag: %s}\n", image, e.Registry, e.Tag)))
			replicas.WriteString(fill.Replace(fmt.Sprintf("- {name: NAME, count: %d}\n", e.Replicas)))
			patches.WriteString(fill.Replace(memoryPatch))
		}
		text += "images:\n" + tags.String() + "replicas:\n" + replicas.String() + "patches:\n" + patches.String()
		p.file("overlays/"+e.Name+"/kustomization.yaml", text)
		fmt.Fprintf(&listed, "  %s: {path: overlays/%s}\n", e.Name, e.Name)
		below = "resources: [../" + e.Name + "]\n"
	}
	p.file("slipway.yaml", "project: shop\nenvironments:\n"+listed.String())
	return p.err
}
