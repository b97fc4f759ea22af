package image

import (
	"context"
	"slices"
	"strings"
)

// Platforms are those that a pin's content is for, as "linux/arm64"; none where it does not say.
func Platforms(ctx context.Context, p Pin, o Options) ([]string, error) {
	s := o.store()
	found, err := s.look(ctx, p.Repository, p)
	if err != nil || found == nil {
		return nil, err
	}
	var names []string
	if found.MediaType.IsIndex() {
		children, err := manifests(found.Descriptor)
		if err != nil {
			return nil, err
		}
		for _, d := range children {
			if name := platformName(d.Platform); d.Annotations[referenceType] == "" && !strings.HasPrefix(name, "unknown") {
				names = append(names, name)
			}
		}
		return names, nil
	}
	cfg, err := configOf(found.Descriptor)
	if err != nil {
		repository, _ := locate(p.Repository, o.Mirror)
		return nil, explain(p.Repository, repository, err)
	}
	if cfg.Architecture != "" {
		names = append(names, platformName(cfg.Platform()))
	}
	return names, nil
}

// Runs tells whether something that is for these platforms runs on a node of that one ("linux/arm64").
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
