package skaffold

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Versions before v3: what is rendered was a part of deploy.
var older = regexp.MustCompile(
	`^skaffold/v(1|1alpha[1-5]|1beta([1-9]|1[0-7])|2alpha[1-4]|2beta([1-9]|[12][0-9]))$`)

// upgrade rewrites a document of an older version as the newest one has it, in place. Fields that are gone
// render nothing, and are left out.
func upgrade(top *yaml.Node) {
	defer prune(top, "Config")
	upgradePipeline(top)
	for _, p := range nodesOf(nodeAt(top, "profiles")) {
		upgradePipeline(p)
		var patches []*yaml.Node
		for _, patch := range nodesOf(nodeAt(p, "patches")) {
			if instead := upgradeOverridePatch(top, patch); instead != nil {
				patches = append(patches, instead...)
				continue
			}
			patches = append(patches, patch)
			for _, m := range [][2]string{{"/deploy/kubectl/manifests", "/manifests/rawYaml"},
				{"/deploy/kustomize/path", "/manifests/kustomize/path"},
				{"/deploy/kustomize/buildArgs", "/manifests/kustomize/buildArgs"},
				{"/deploy/helm/releases", "/manifests/helm/releases"}} {
				if path := nodeAt(patch, "path"); path != nil {
					path.Value = strings.Replace(path.Value, m[0], m[1], 1)
				}
			}
		}
		if list := nodeAt(p, "patches"); list != nil {
			list.Content = patches
		}
	}
}

func upgradePipeline(p *yaml.Node) {
	for _, a := range nodesOf(nodeAt(nodeAt(p, "build"), "artifacts")) {
		renameKey(a, "imageName", "image")
		renameKey(a, "workspace", "context")
		renameKey(nodeAt(a, "docker"), "dockerfilePath", "dockerfile")
	}
	deploy := nodeAt(p, "deploy")
	if deploy == nil {
		return
	}
	manifests := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: deploy.Line, Column: deploy.Column}
	if kubectl := nodeAt(deploy, "kubectl"); kubectl != nil {
		moveKey(kubectl, "manifests", manifests, "rawYaml")
	}
	if kustomize := nodeAt(deploy, "kustomize"); kustomize != nil {
		upgradeKustomize(kustomize)
		moveKey(deploy, "kustomize", manifests, "kustomize")
	}
	if helm := nodeAt(deploy, "helm"); helm != nil && helm.Kind == yaml.MappingNode {
		setNode(manifests, "helm", upgradeHelm(helm))
	}
	if len(manifests.Content) > 0 {
		setNode(p, "manifests", manifests)
	}
}

// usesKpt returns where an older document deploys with kpt, which Skaffold does not upgrade.
func usesKpt(top *yaml.Node) *yaml.Node {
	for _, p := range append(nodesOf(nodeAt(top, "profiles")), top) {
		if kpt := nodeAt(nodeAt(p, "deploy"), "kpt"); kpt != nil {
			return kpt
		}
	}
	return nil
}

// upgradeHelm returns the charts and the flags of Helm for where they are rendered. The deployer keeps them
// too, as in Skaffold.
func upgradeHelm(helm *yaml.Node) *yaml.Node {
	into := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: helm.Line, Column: helm.Column}
	for _, release := range nodesOf(nodeAt(helm, "releases")) {
		upgradeRelease(release)
	}
	for _, key := range []string{"releases", "flags"} {
		if v := nodeAt(helm, key); v != nil {
			setNode(into, key, v)
		}
	}
	return into
}

// upgradeRelease makes templates of the values that name artifacts.
func upgradeRelease(release *yaml.Node) {
	if remote := nodeAt(release, "remote"); remote != nil && remote.Value == "true" {
		renameKey(release, "chartPath", "remoteChart")
	}
	dropKeys(release, "remote")
	if file := nodeAt(release, "valuesFilePath"); file != nil && nodeAt(release, "valuesFiles") == nil {
		setNode(release, "valuesFiles", &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: file.Line,
			Column: file.Column, Content: []*yaml.Node{file}})
	}
	if nodeAt(release, "artifactOverrides") == nil {
		renameKey(release, "values", "artifactOverrides")
	}
	overrides := nodeAt(release, "artifactOverrides")
	if overrides == nil || overrides.Kind != yaml.MappingNode {
		return
	}
	var flat func(prefix string, n *yaml.Node)
	flat = func(prefix string, n *yaml.Node) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := prefix+n.Content[i].Value, n.Content[i+1]
			if value.Kind == yaml.MappingNode {
				flat(key+".", value)
				continue
			}
			for _, o := range overrideTemplates(release, key, value.Value) {
				setNode(within(release, "setValueTemplates", value), o[0], textNode(o[1], value))
			}
		}
	}
	flat("", overrides)
}

// overrideTemplates are the values, and their templates, that name an artifact's image for a chart: the whole
// reference, or its parts where the release asks for Helm's convention.
func overrideTemplates(release *yaml.Node, key, image string) [][2]string {
	name := unfit.ReplaceAllString(image, "_")
	convention := nodeAt(nodeAt(release, "imageStrategy"), "helm")
	if convention == nil {
		return [][2]string{{key, "{{.IMAGE_FULLY_QUALIFIED_" + name + "}}"}}
	}
	all := [][2]string{
		{key + ".tag", "{{.IMAGE_TAG_" + name + "}}@{{.IMAGE_DIGEST_" + name + "}}"},
		{key + ".repository", "{{.IMAGE_REPO_" + name + "}}"},
	}
	if explicit := nodeAt(convention, "explicitRegistry"); explicit != nil && explicit.Value == "true" {
		all[1][1] = "{{.IMAGE_REPO_NO_DOMAIN_" + name + "}}"
		all = append(all, [2]string{key + ".registry", "{{.IMAGE_DOMAIN_" + name + "}}"})
	}
	return all
}

// upgradeOverridePatch returns the patches that take the place of one that names another artifact for a
// chart; nil where the patch does something else.
func upgradeOverridePatch(top, patch *yaml.Node) []*yaml.Node {
	path := nodeAt(patch, "path")
	if path == nil {
		return nil
	}
	m := overridePath.FindStringSubmatch(path.Value)
	releases := nodesOf(nodeAt(nodeAt(nodeAt(top, "deploy"), "helm"), "releases"))
	i, err := strconv.Atoi(strings.Join(m[min(1, len(m)):min(2, len(m))], ""))
	value := nodeAt(patch, "value")
	if m == nil || err != nil || i >= len(releases) || value == nil || value.Kind != yaml.ScalarNode {
		return nil
	}
	var patches []*yaml.Node
	for _, o := range overrideTemplates(releases[i], strings.ReplaceAll(m[2], "/", "."), value.Value) {
		p := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: patch.Line, Column: patch.Column}
		if op := nodeAt(patch, "op"); op != nil {
			setNode(p, "op", op)
		}
		setNode(p, "path", textNode("/manifests/helm/releases/"+m[1]+"/setValueTemplates/"+o[0], path))
		setNode(p, "value", textNode(o[1], value))
		patches = append(patches, p)
	}
	return patches
}

var overridePath = regexp.MustCompile(`^/deploy/helm/releases/(\d+)/(?:artifactOverrides|values)/(.+)$`)

// within is the mapping under a key, which it makes where there is none.
func within(n *yaml.Node, key string, at *yaml.Node) *yaml.Node {
	if v := nodeAt(n, key); v != nil {
		return v
	}
	v := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column}
	setNode(n, key, v)
	return v
}

// prune leaves out the keys that a structure of the newest version does not have.
func prune(n *yaml.Node, structure string) {
	fields := schema()[structure]
	filterKeys(n, func(key string) bool {
		return fields[key].of != "" || strings.HasPrefix(key, ".") || key == "<<"
	})
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := fields[n.Content[i].Value], n.Content[i+1]
		if !(k.of != "" && k.structure()) {
			continue
		}
		prune(v, k.of)
		for _, e := range nodesOf(v) {
			prune(e, k.of)
		}
	}
}

// upgradeKustomize gives an overlay that was not named its default, and makes a list of a single one.
func upgradeKustomize(k *yaml.Node) {
	if k.Kind != yaml.MappingNode {
		*k = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: k.Line, Column: k.Column}
	}
	paths := nodeAt(k, "paths")
	if paths == nil {
		paths = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: k.Line, Column: k.Column}
		path := nodeAt(k, "path")
		if path == nil {
			path = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: ".", Line: k.Line, Column: k.Column}
		}
		paths.Content = []*yaml.Node{path}
		setNode(k, "paths", paths)
	}
}

func textNode(text string, at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: at.Line, Column: at.Column}
}

func nodesOf(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func nodeAt(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func setNode(n *yaml.Node, key string, value *yaml.Node) {
	dropKeys(n, key)
	n.Content = append(n.Content, textNode(key, value), value)
}

func renameKey(n *yaml.Node, key, to string) { moveKey(n, key, n, to) }

func moveKey(from *yaml.Node, key string, to *yaml.Node, name string) {
	if v := nodeAt(from, key); v != nil {
		dropKeys(from, key)
		setNode(to, name, v)
	}
}

func dropKeys(n *yaml.Node, keys ...string) {
	filterKeys(n, func(key string) bool { return !slices.Contains(keys, key) })
}

func filterKeys(n *yaml.Node, want func(key string) bool) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	var content []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if want(n.Content[i].Value) {
			content = append(content, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = content
}
