package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/image/reference"
	"slipway/internal/object"
	"slipway/internal/project"
)

// Use is one place in an object that names an image.
type Use struct {
	Ref       object.Ref `json:"ref"`
	Container string     `json:"container"` // or the volume's name
	Reference string     `json:"reference"`
}

// Matched is one of the project's images as an environment's manifests name it.
type Matched struct {
	Image project.Image
	// Repository, Tag and Digest are those in the rendered objects.
	Repository, Tag, Digest string
	Uses                    []Use
}

// Stated tells whether the manifests name the content, by digest or by a tag that never moves. Such an image
// is resolved, never built.
func (m Matched) Stated() bool {
	return reference.Reference{Repository: m.Repository, Tag: m.Tag, Digest: m.Digest}.IsFixed()
}

// In returns the image's repository in an environment. Its registry is used where the manifests name none.
func (m Matched) In(env project.Environment) string {
	if env.Registry == "" || reference.Host(m.Repository) != "" {
		return m.Repository
	}
	return strings.TrimSuffix(env.Registry, "/") + "/" + m.Repository
}

// NoMatchError says that no manifest uses an image of the project, so that an override of it would silently
// have no effect.
type NoMatchError struct {
	Image      string
	Candidates []string // the repositories that the manifests do use
}

func (e *NoMatchError) Error() string { return fmt.Sprintf("no manifest uses the image %s", e.Image) }

// AmbiguousError says that one environment uses an image of the project in several versions or from several
// repositories.
type AmbiguousError struct {
	Image      string
	References []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("image %s is used as %s: an environment must use only one of them", e.Image,
		strings.Join(e.References, " and as "))
}

// Match finds the project's images in an environment's objects, in the project's order. Where several names
// match a repository, the longest one wins. It fails with a *NoMatchError or an *AmbiguousError.
func Match(images []project.Image, set object.Set) ([]Matched, error) {
	found := map[string][]Use{}
	var candidates []string
	for _, u := range Uses(set) {
		repository := reference.Parse(u.Reference).Repository
		if !slices.Contains(candidates, repository) {
			candidates = append(candidates, repository)
		}
		if name := closest(images, repository); name != "" {
			found[name] = append(found[name], u)
		}
	}
	var out []Matched
	for _, img := range images {
		uses := found[img.Name]
		if len(uses) == 0 {
			if img.Detected {
				continue
			}
			return nil, &NoMatchError{Image: img.Name, Candidates: candidates}
		}
		m, err := one(img, uses)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func closest(images []project.Image, repository string) string {
	best, name := 0, ""
	for _, img := range images {
		if n := calls(img.Name, repository); n > best {
			best, name = n, img.Name
		}
	}
	return name
}

// calls tells whether a project's image name matches a repository, and how precisely: it returns the number
// of path components that match from the right. Both may lack the registry, but nothing else, or "redis" in a
// manifest would match any "acme/redis".
func calls(name, repository string) int {
	want, have := strings.Split(name, "/"), strings.Split(repository, "/")
	if len(want) > len(have) && reference.Host(repository) == "" && reference.Host(name) != "" {
		want = want[1:]
	}
	if len(want) > len(have) || !slices.Equal(want, have[len(have)-len(want):]) {
		return 0
	}
	return len(want)
}

// one combines all uses of an image. Tags that move do not count as different versions.
func one(img project.Image, uses []Use) (Matched, error) {
	first := reference.Parse(uses[0].Reference)
	different := map[string]bool{}
	for _, u := range uses {
		r := reference.Parse(u.Reference)
		if r.Repository != first.Repository || (r.IsFixed() || first.IsFixed()) && r != first {
			different[u.Reference] = true
		}
	}
	if len(different) > 0 {
		refs := append([]string{uses[0].Reference}, slices.Sorted(maps.Keys(different))...)
		return Matched{}, &AmbiguousError{Image: img.Name, References: refs}
	}
	return Matched{Image: img, Repository: first.Repository, Tag: first.Tag, Digest: first.Digest,
		Uses: uses}, nil
}

// Uses returns all places that name an image, in the order of the set.
func Uses(set object.Set) []Use {
	var uses []Use
	for _, o := range set.Objects() {
		visit(o.Body, func(container, ref string) string {
			uses = append(uses, Use{Ref: o.Ref(), Container: container, Reference: ref})
			return ref
		})
	}
	return uses
}

// Put returns a copy of the set in which every use of a pin's image is the pin.
func Put(set object.Set, pins []Pin) (object.Set, error) {
	if len(pins) == 0 {
		return set, nil
	}
	images := make([]project.Image, len(pins))
	byName := map[string]Pin{}
	for i, p := range pins {
		images[i].Name = p.Name
		byName[p.Name] = p
	}
	return set.Map(func(o object.Object) (object.Object, error) {
		changes := false
		pinned := func(_, ref string) string {
			name := closest(images, reference.Parse(ref).Repository)
			if name == "" {
				return ref
			}
			changes = true
			return byName[name].Reference()
		}
		// Most objects of a large set use no image: they are not copied.
		visit(o.Body, func(container, ref string) string { pinned(container, ref); return ref })
		if !changes {
			return o, nil
		}
		o = o.Clone()
		visit(o.Body, pinned)
		return o, nil
	})
}

// visit calls f for every image below v, and writes back what f returns. It assumes no path, because custom
// resources have pod templates at any depth.
func visit(v any, f func(container, ref string) string) {
	switch v := v.(type) {
	case map[string]any:
		for _, c := range object.Containers(v, "") {
			visitField(c.Body, "image", c.Body, f)
		}
		for _, volume := range object.Mappings(v["volumes"]) {
			if source, ok := volume["image"].(map[string]any); ok {
				visitField(source, "reference", volume, f)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			visit(v[k], f)
		}
	case []any:
		for _, x := range v {
			visit(x, f)
		}
	}
}

func visitField(m map[string]any, field string, named map[string]any, f func(container, ref string) string) {
	ref, ok := m[field].(string)
	if !ok || ref == "" {
		return
	}
	name, _ := named["name"].(string)
	if next := f(name, ref); next != ref {
		m[field] = next
	}
}
