package kustomize

import (
	"regexp"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/filters/imagetag"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
)

// setImages sets names, tags and digests of images. The library looks at all of each object for each entry;
// here it sees only the objects in which the entry matches something.
func setImages(entries []types.Image, all types.FsSlice) change {
	patterns := make([]*regexp.Regexp, len(entries))
	for i, e := range entries { // as image.IsImageMatched of the library
		patterns[i], _ = regexp.Compile("^" + e.Name +
			"(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?$")
	}
	chosen := chosen(all)
	return func(m *resources) error {
		for _, r := range m.list {
			images, plain := imagesOf(r, chosen(r))
			for i, e := range entries {
				if plain && !anyMatch(images, patterns[i]) {
					continue
				}
				if err := apply(m, r, imagetag.LegacyFilter{ImageTag: e}); err != nil {
					return err
				}
				if err := apply(m, r, imagetag.Filter{ImageTag: e, FsSlice: all}); err != nil {
					return err
				}
				images, plain = imagesOf(r, chosen(r))
			}
		}
		return nil
	}
}

func anyMatch(images []string, pattern *regexp.Regexp) bool {
	for _, image := range images {
		if pattern != nil && pattern.MatchString(image) {
			return true
		}
	}
	return false
}

// imagesOf lists the images of an object, and says whether the library would find just these.
func imagesOf(r *resource.Resource, specs []spec) ([]string, bool) {
	if r.GetKind() == "CustomResourceDefinition" {
		return nil, true
	}
	var images []string
	take := func(n *yaml.Node) bool {
		images = append(images, n.Value)
		return n.Kind == yaml.ScalarNode
	}
	plain := containers(r.YNode(), take)
	for _, f := range specs {
		plain = plain && reach(r.YNode(), f.path, take)
	}
	return images, plain
}

// containers visits the images of everything that is named like a list of containers.
func containers(n *yaml.Node, take func(*yaml.Node) bool) bool {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		if !containers(c, take) {
			return false
		}
		if n.Kind != yaml.MappingNode || c.Kind != yaml.SequenceNode ||
			n.Content[i-1].Value != "containers" && n.Content[i-1].Value != "initContainers" {
			continue
		}
		for _, container := range c.Content {
			if container.Kind != yaml.MappingNode {
				return false
			}
			if image := mapped(container, "image"); image != nil && !take(image) {
				return false
			}
		}
	}
	return true
}
