package promote

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"

	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// NoImageError says that there is nothing to promote: the project has no image, or the environment uses none
// of its images.
type NoImageError struct {
	Environment string
	// Images are the project's; empty: it has none.
	Images []string
	// Used are the repositories that the environment's manifests name.
	Used []string
	// Uncommitted is the project file, where its images are not committed; else empty.
	Uncommitted string
}

func (e *NoImageError) Error() string {
	switch {
	case e.Uncommitted != "":
		return fmt.Sprintf("promote to %s: the images in %s are not committed", e.Environment, e.Uncommitted)
	case len(e.Images) == 0:
		return fmt.Sprintf("promote to %s: the project has no image", e.Environment)
	}
	return fmt.Sprintf("promote to %s: it does not use %s", e.Environment, strings.Join(e.Images, ", "))
}

func namesOf(pins []image.Pin) (names []string) {
	for _, p := range pins {
		names = append(names, p.Name)
	}
	return names
}

// repositories returns the repositories that objects name, each once.
func repositories(set object.Set) (list []string) {
	for _, u := range image.Uses(set) {
		if r := reference.Parse(u.Reference).Repository; !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	slices.Sort(list)
	return list
}

// named returns the images that two environments of a project without images have in common, as the first
// states them: those that entries of images in a kustomization name, or all without a kustomization.
// The project deploys what others build.
func named(
	ctx context.Context, p project.Project, env, from project.Environment, o render.Options,
) ([]image.Pin, error) {
	r, err := render.Open(p.Dir, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return namedIn(ctx, r, env, from)
}

func namedIn(
	ctx context.Context, r *render.Renderer, env, from project.Environment,
) ([]image.Pin, error) {
	source, err := r.Render(ctx, from)
	if err != nil {
		return nil, err
	}
	target, err := r.Render(ctx, env)
	if err != nil {
		return nil, err
	}
	entries, all := entriesOf(ctx, r, source, target)
	var images []project.Image
	there, names := repositories(source.Set), map[string]string{} // in the target, by that in the source
	for _, repository := range repositories(target.Set) {
		name := counterpart(repository, there)
		if name != "" && (all || slices.Contains(entries, repository) || slices.Contains(entries, name)) {
			images = append(images, project.Image{Name: name, Detected: true})
			names[name] = repository
		}
	}
	matched, err := image.Match(images, source.Set)
	if err != nil {
		return nil, fmt.Errorf("images of %s: %w", from.Name, err)
	}
	var pins []image.Pin
	for _, m := range matched {
		runs := m.Uses[0].Reference
		isSame := func(u image.Use) bool { return u.Reference == runs }
		switch {
		case !reference.Parse(runs).IsMutable():
		case slices.ContainsFunc(image.Uses(target.Set), isSame):
			continue
		default:
			return nil, fmt.Errorf("promote from %s: %s: %w: the manifests name no version", from.Name, runs,
				ErrNotStated)
		}
		pin := stated(m)
		pin.Name = names[m.Image.Name]
		pins = append(pins, pin)
	}
	if len(pins) == 0 {
		return nil, &NoImageError{Environment: env.Name, Used: repositories(target.Set)}
	}
	return pins, nil
}

// counterpart returns the repository that another registry has for one: the same, or the only one with the
// same last part.
func counterpart(repository string, others []string) string {
	if slices.Contains(others, repository) {
		return repository
	}
	found := ""
	for _, other := range others {
		if path.Base(other) == path.Base(repository) {
			if found != "" {
				return ""
			}
			found = other
		}
	}
	return found
}

// entriesOf returns the images that kustomizations name; all: without a kustomization.
func entriesOf(ctx context.Context, r *render.Renderer, results ...render.Result) (names []string, all bool) {
	all = true
	for _, result := range results {
		for file := range filesOf(result) {
			if !slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(file)) {
				continue
			}
			all = false
			text, err := r.View(ctx).File(file)
			if err != nil {
				continue
			}
			list, err := at(text, []string{"images"})
			if err != nil {
				continue
			}
			for _, item := range list.Content {
				for _, key := range []string{"name", "newName"} {
					if n := keyOf(target(item), key, 0).node; n != nil {
						names = append(names, target(n).Value)
					}
				}
			}
		}
	}
	return names, all
}
