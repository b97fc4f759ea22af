package skaffold

import (
	"regexp"
	"slices"
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
		for _, patch := range nodesOf(nodeAt(p, "patches")) {
			for _, m := range [][2]string{{"/deploy/kubectl/manifests", "/manifests/rawYaml"},
				{"/deploy/kustomize/path", "/manifests/kustomize/path"},
				{"/deploy/kustomize/buildArgs", "/manifests/kustomize/buildArgs"}} {
				if path := nodeAt(patch, "path"); path != nil {
					path.Value = strings.Replace(path.Value, m[0], m[1], 1)
				}
			}
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
	if len(manifests.Content) > 0 {
		setNode(p, "manifests", manifests)
	}
}

// usesHelm reports whether an older document deploys charts. Their images were passed in ways that have no
// equal today.
func usesHelm(top *yaml.Node) bool {
	return slices.ContainsFunc(append(nodesOf(nodeAt(top, "profiles")), top), func(p *yaml.Node) bool {
		return nodeAt(nodeAt(p, "deploy"), "helm") != nil
	})
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
