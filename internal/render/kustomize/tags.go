package kustomize

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"slipway/internal/object"
)

// imagesOf lists the images of all resources, always in the same order.
func imagesOf(m *resources, fields types.FsSlice) []string {
	keys := map[string]bool{"image": true}
	for _, f := range fields {
		keys[path.Base(f.Path)] = true
	}
	var all []string
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && c.Kind == yaml.ScalarNode && keys[n.Content[i-1].Value] {
				all = append(all, c.Value)
			}
			walk(c)
		}
	}
	for _, r := range m.list {
		walk(r.YNode())
	}
	return all
}

// mergedTags are the losses of an entry of images that changed the images before into those after.
func mergedTags(at entry, before, after []string) []object.Loss {
	tags := map[[2]string]map[string]bool{} // by image, and what became of it
	for i, old := range before {
		name, tag := splitTag(old)
		if i >= len(after) || old == after[i] || tag == "" {
			continue
		}
		key := [2]string{name, after[i]}
		if tags[key] == nil {
			tags[key] = map[string]bool{}
		}
		tags[key][tag] = true
	}
	var losses []object.Loss
	for _, key := range slices.SortedFunc(maps.Keys(tags), func(a, b [2]string) int {
		return slices.Compare(a[:], b[:])
	}) {
		if old := slices.Sorted(maps.Keys(tags[key])); len(old) > 1 {
			losses = append(losses, object.Loss{Kind: object.MergedTags, Origin: at.at, Text: fmt.Sprintf(
				"image %s has the tags %s, and this entry makes each of them %s", key[0],
				strings.Join(old, " and "), key[1])})
		}
	}
	return losses
}

func splitTag(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		return image[:i], image[i+1:]
	}
	return image, ""
}
