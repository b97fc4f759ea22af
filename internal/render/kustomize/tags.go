package kustomize

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/utils"

	"slipway/internal/object"
)

// imageUse is what a resource runs.
type imageUse struct {
	images []string
	// irregular: the library's filter fails on the resource.
	irregular bool
}

// withImage returns the resources that an entry of images may be for. The library's filter compiles the name
// anew for each container, and so takes most of the time of a build.
func (m *resources) withImage(image types.Image, fields types.FsSlice) *resources {
	pattern, err := regexp.Compile("^" + image.Name + "([:@].*)?$")
	isMatch := func(name string) bool { return err == nil && pattern.MatchString(name) }
	if m.images == nil {
		m.images = map[*resource.Resource]imageUse{}
	}
	found := &resources{origins: m.origins}
	for _, r := range m.list {
		use, known := m.images[r]
		if !known {
			use = uses(r, fields)
			m.images[r] = use
		}
		if use.irregular || slices.ContainsFunc(use.images, isMatch) {
			found.list = append(found.list, r)
		}
	}
	return found
}

// imagesOf lists the images of all resources, always in the same order.
func (m *resources) imagesOf(fields types.FsSlice) []string {
	var all []string
	for _, r := range m.list {
		all = append(all, uses(r, fields).images...)
	}
	return all
}

// uses finds the values of all fields with the name of one that holds an image.
func uses(r *resource.Resource, fields types.FsSlice) imageUse {
	keys := map[string]bool{"image": true}
	var use imageUse
	id := r.CurId()
	for _, f := range fields {
		steps := utils.PathSplitter(f.Path, "/")
		keys[strings.TrimSuffix(steps[len(steps)-1], "[]")] = true
		if id.IsSelected(&f.Gvk) && !reach(r.YNode(), steps, func(*yaml.Node) bool { return true }) {
			use.irregular = true
		}
	}
	use.visit(r.YNode(), keys)
	_, err := r.GetMeta()
	use.irregular = use.irregular || err != nil
	return use
}

func (u *imageUse) visit(n *yaml.Node, keys map[string]bool) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key := n.Content[i-1].Value
			if keys[key] && c.Kind != yaml.MappingNode {
				for _, v := range append([]*yaml.Node{c}, c.Content...) { // a field may hold a list of images
					u.images = append(u.images, v.Value)
				}
			}
			isContainer := func(e *yaml.Node) bool { return e.Kind == yaml.MappingNode }
			if (key == "containers" || key == "initContainers") && c.Kind == yaml.SequenceNode &&
				slices.IndexFunc(c.Content, func(e *yaml.Node) bool { return !isContainer(e) }) >= 0 {
				u.irregular = true
			}
		}
		u.irregular = u.irregular || c.Kind == yaml.AliasNode
		u.visit(c, keys)
	}
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
