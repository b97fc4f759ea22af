package image

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Platforms returns the platforms of a pin's content, such as "linux/arm64"; none where the image does not
// name any.
func Platforms(ctx context.Context, p Pin, o Options) ([]string, error) {
	found, children, err := o.store().open(ctx, p)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range children {
		if name := platformName(d.Platform); d.Annotations[referenceType] == "" &&
			!strings.HasPrefix(name, "unknown") {
			names = append(names, name)
		}
	}
	if children != nil {
		return names, nil
	}
	cfg, err := configOf(found.Descriptor)
	if err == nil && cfg.Architecture != "" {
		names = append(names, platformName(cfg.Platform()))
	}
	return names, found.explain(err)
}

// Revision returns the commit that a pin's content was built from, by its annotation or its label; empty
// where it has neither.
func Revision(ctx context.Context, p Pin, o Options) (string, error) {
	s := o.store()
	found, children, err := s.open(ctx, p)
	if err != nil || found.revision != "" {
		return found.revision, err
	}
	content := found.Descriptor
	if len(children) > 0 { // the first is a platform: BuildKit's attestations come last
		if content, err = s.puller.Get(ctx, found.at.Digest(children[0].Digest.String())); err != nil {
			return "", found.explain(err)
		}
	}
	cfg, err := configOf(content)
	if err != nil {
		return "", found.explain(err)
	}
	return cfg.Config.Labels[LabelRevision], nil
}

// opened is the manifest of a pin.
type opened struct {
	content
	pin Pin
	at  name.Repository // where it is really reached
}

func (o opened) explain(err error) error { return explain(o.pin.Repository, o.at, err) }

// open reads a pin's manifest, and the children of an index; nil for any other manifest.
func (s store) open(ctx context.Context, p Pin) (opened, []v1.Descriptor, error) {
	found, err := s.look(ctx, p.Repository, p)
	if err == nil && found == nil {
		err = &NotFoundError{Reference: p.Reference()}
	}
	if err != nil {
		return opened{}, nil, err
	}
	o := opened{content: *found, pin: p}
	if o.at, err = locate(p.Repository, s.mirror); err != nil || !found.MediaType.IsIndex() {
		return o, nil, err
	}
	children, err := manifests(found.Descriptor)
	return o, append([]v1.Descriptor{}, children...), err
}

// Runs tells whether an image of these platforms runs on a node of a platform ("linux/arm64").
func Runs(platforms []string, node string) bool {
	may := []string{node}
	switch node { // as containerd chooses
	case "linux/arm64":
		may = append(may, "linux/arm")
	case "linux/amd64":
		may = append(may, "linux/386")
	}
	return slices.ContainsFunc(platforms, func(p string) bool {
		return slices.ContainsFunc(may, func(m string) bool {
			return p == m || strings.HasPrefix(p, m+"/") || strings.HasPrefix(p, m+":")
		})
	})
}
