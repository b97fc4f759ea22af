package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/release"
)

// PlatformError says that an image runs on none of the nodes that its pods may run on.
type PlatformError struct {
	Environment string
	Ref         object.Ref
	Image       string
	Has, Needs  []string // platforms, "linux/arm64"
}

func (e *PlatformError) Error() string {
	return fmt.Sprintf("%s cannot run in %s: %s is for %s, and the nodes that it may run on are %s",
		e.Ref, e.Environment, e.Image, strings.Join(e.Has, ", "), strings.Join(e.Needs, ", "))
}

// fit compares the platforms of the images with those of the nodes that their pods may run on. Without the
// permission to list nodes it compares with the images that ran before. It skips images that are not built
// yet, and images of others.
func fit(ctx context.Context, t Target, p Prepared, latest release.Release) error {
	o := t.Reach(image.Options{})
	pins := map[string]image.Pin{}
	for _, pin := range p.Images {
		if pin.Digest != "" {
			pins[pin.Reference()] = pin
		}
	}
	if len(pins) == 0 {
		return nil
	}
	nodes, allowed, err := cluster.ListNodes(ctx, t.Cluster)
	if err != nil {
		return fmt.Errorf("nodes of %s: %w", t.Environment.Name, err)
	}
	if !allowed {
		return fitAsBefore(ctx, t, p.Images, latest, o)
	}
	platforms := map[string][]string{}
	for _, ref := range slices.Sorted(maps.Keys(pins)) {
		platforms[ref], err = image.Platforms(ctx, pins[ref], o)
		if errors.As(err, new(*image.NotFoundError)) { // a plan before the copy from another environment
			t.say(Image, nil, "skipped the platform check for %s until it is copied to the registry of %s", ref,
				t.Environment.Name)
		} else if err != nil {
			return fmt.Errorf("platforms of %s: %w", ref, err)
		}
	}
	for _, o := range p.Set.Objects() {
		for _, pod := range pods(o.Body) {
			on := nodes.Platforms(pod)
			for _, ref := range images(pod) {
				if err := fitPod(t, o.Ref(), ref, platforms[ref], on); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fitAsBefore names the images whose platforms it cannot check: those that lack a platform of the last
// healthy release. The nodes of a sandbox are of this machine's platform.
func fitAsBefore(
	ctx context.Context, t Target, pins []image.Pin, latest release.Release, o image.Options,
) error {
	for _, pin := range pins {
		i := slices.IndexFunc(latest.Images, func(before image.Pin) bool { return before.Name == pin.Name })
		if pin.Digest == "" || i >= 0 && latest.Status == release.Healthy &&
			replaces(ctx, latest.Images[i], pin, o) {
			continue
		}
		if t.Mirror != "" && runsHere(ctx, pin, o) {
			continue
		}
		t.say(Image, nil, "skipped the platform check for %s: listing nodes is not allowed in %s. Grant `list` on "+
			"nodes to enable the check", pin.Name, t.Environment.Name)
	}
	return nil
}

// runsHere says that an image runs on Linux nodes with this machine's processor.
func runsHere(ctx context.Context, pin image.Pin, o image.Options) bool {
	has, err := image.Platforms(ctx, pin, o)
	return err == nil && (len(has) == 0 || image.Runs(has, "linux/"+runtime.GOARCH))
}

// replaces says that an image has all platforms of another one.
func replaces(ctx context.Context, before, now image.Pin, o image.Options) bool {
	if before.Digest == now.Digest {
		return true
	}
	had, err := image.Platforms(ctx, before, o)
	if err != nil || len(had) == 0 {
		return false
	}
	has, err := image.Platforms(ctx, now, o)
	return err == nil && !slices.ContainsFunc(had, func(platform string) bool {
		return !slices.Contains(has, platform)
	})
}

// fitPod checks one image of one pod.
func fitPod(t Target, ref object.Ref, img string, has []string, on map[string]int) error {
	if len(has) == 0 || len(on) == 0 {
		return nil // nothing is known, or no node is there yet
	}
	var wrong []string
	all, bad := 0, 0
	for _, platform := range slices.Sorted(maps.Keys(on)) {
		all += on[platform]
		if !image.Runs(has, platform) {
			wrong, bad = append(wrong, platform), bad+on[platform]
		}
	}
	switch bad {
	case 0:
		return nil
	case all:
		return &PlatformError{Environment: t.Environment.Name, Ref: ref, Image: img, Has: has, Needs: wrong}
	}
	t.warn(Image, nil, "%s: %s is for %s only, and %d of the %d nodes that it may run on are %s: a "+
		"nodeSelector on kubernetes.io/arch keeps it off them",
		ref, img, strings.Join(has, ", "), bad, all, strings.Join(wrong, ", "))
	return nil
}

// pods returns the pod specifications in an object, at any depth.
func pods(v any) []map[string]any {
	var found []map[string]any
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["containers"].([]any); ok {
			found = append(found, v)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = append(found, pods(v[key])...)
		}
	case []any:
		for _, x := range v {
			found = append(found, pods(x)...)
		}
	}
	return found
}

// images returns the images of the containers of a pod, each once.
func images(pod map[string]any) []string {
	var refs []string
	for _, c := range object.Containers(pod, "") {
		if ref, ok := c.Body["image"].(string); ok && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}
