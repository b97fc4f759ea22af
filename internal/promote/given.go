package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/project"
	"slipway/internal/render"
)

// VersionlessError says that a reference has neither a tag nor a digest.
type VersionlessError struct{ Environment, Reference string }

func (e *VersionlessError) Error() string {
	return fmt.Sprintf("promote to %s: %s has neither a tag nor a digest", e.Environment, e.Reference)
}

// UnusedError says that the manifests of an environment do not name a repository.
type UnusedError struct {
	Environment, Repository string
	// Used are those that they name.
	Used []string
}

func (e *UnusedError) Error() string {
	return fmt.Sprintf("promote to %s: its manifests do not use %s", e.Environment, e.Repository)
}

// given returns the images that the user names by references, with their digests. It fails with an
// *UnusedError for a repository that the manifests of the environment do not name, and with an
// *image.NotFoundError for an image that its registry does not have.
func given(ctx context.Context, t deploy.Target, references []string) (
	pins []image.Pin, notes []string, err error) {
	with, err := render.Render(ctx, t.Source.Project, t.Environment, t.Render)
	if err != nil {
		return nil, nil, err
	}
	used := repositories(with.Set)
	var names []project.Image
	for _, img := range t.Source.Project.Images {
		names = append(names, project.Image{Name: img.Name, Detected: true}) // the environment may use fewer
	}
	matched, err := image.Match(names, with.Set)
	if err != nil {
		return nil, nil, fmt.Errorf("images of %s: %w", t.Environment.Name, err)
	}
	for _, text := range references {
		r := reference.Parse(text)
		if r.Tag == "" && r.Digest == "" {
			return nil, nil, &VersionlessError{t.Environment.Name, text}
		}
		i := slices.IndexFunc(used, func(repository string) bool {
			return reached(t.Environment, image.Pin{Repository: repository}).Repository == r.Repository
		})
		if i < 0 {
			return nil, nil, &UnusedError{t.Environment.Name, r.Repository, used}
		}
		pin := image.Pin{Name: used[i], Repository: used[i], Tag: r.Tag, Digest: r.Digest}
		for _, m := range matched {
			if m.Repository == used[i] {
				pin.Name = m.Image.Name
			}
		}
		pins = append(pins, pin)
	}
	notes, err = verifyDigests(ctx, t, pins)
	if err != nil {
		return nil, nil, err
	}
	pins, more, err := resolved(ctx, t, t.Environment, pins)
	if err != nil {
		err = fmt.Errorf("promote to %s: %w", t.Environment.Name, err)
	}
	return pins, append(notes, more...), err
}

// verifyDigests fails where a registry does not have an image that is named by its digest. Where it does not
// answer, a note says so.
func verifyDigests(ctx context.Context, t deploy.Target, pins []image.Pin) (notes []string, err error) {
	for _, pin := range pins {
		if pin.Digest == "" {
			continue
		}
		within, cancel := context.WithTimeout(ctx, resolveTime)
		_, err := image.Resolve(within, reached(t.Environment, pin).Reference(), t.Reach(image.Options{}))
		cancel()
		if missing := new(image.NotFoundError); errors.As(err, &missing) || ctx.Err() != nil {
			return nil, fmt.Errorf("promote to %s: %w", t.Environment.Name, err)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("did not check whether %s exists: %v", pin.Reference(), err))
		}
	}
	return notes, nil
}
