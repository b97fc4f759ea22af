package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/image/reference"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
)

// NoFollowError says that no image of an environment follows tags.
type NoFollowError struct{ Environment string }

func (e *NoFollowError) Error() string {
	return fmt.Sprintf("promote %s: none of its images follows tags", e.Environment)
}

// maxInspected is how many tags are asked for the time of their build.
const maxInspected = 100

// Following are the versions that the images of an environment are to have by the tags of their registries.
type Following struct {
	// Pins are those to write.
	Pins []image.Pin
	// Reasons are lines for the commit, Notes for the user.
	Reasons, Notes []string
}

// followed returns the images of an environment that follow tags, as its files name them.
func followed(ctx context.Context, r *render.Renderer, env project.Environment) ([]image.Pin, error) {
	result, err := r.Render(ctx, env)
	if err != nil {
		return nil, err
	}
	images := make([]project.Image, len(env.Follow))
	for i, f := range env.Follow {
		images[i] = project.Image{Name: f.Image, Detected: true}
	}
	matched, err := image.Match(images, result.Set)
	if err != nil {
		return nil, fmt.Errorf("images of %s: %w", env.Name, err)
	}
	var pins []image.Pin
	for _, m := range matched {
		pins = append(pins, stated(m))
	}
	return pins, nil
}

// Follow asks the registries which versions the images are to have. It never chooses one that is older than
// the version of now, nor a digest that past holds in quarantine.
func Follow(
	ctx context.Context, t deploy.Target, now []image.Pin, past release.Past,
) (following Following, err error) {
	if len(t.Environment.Follow) == 0 {
		return following, &NoFollowError{t.Environment.Name}
	}
	for _, f := range t.Environment.Follow {
		i := slices.IndexFunc(now, func(pin image.Pin) bool { return pin.Name == f.Image })
		if i < 0 {
			following.Notes = append(following.Notes, f.Image+" is not in the manifests of "+t.Environment.Name)
			continue
		}
		c := choice{t: t, policy: f, now: now[i], past: past}
		pin, err := c.choose(ctx)
		if err != nil {
			return following, fmt.Errorf("follow %s: %w", f.Image, err)
		}
		following.Notes = append(following.Notes, c.notes...)
		if pin.Digest == "" {
			continue
		}
		following.Pins = append(following.Pins, pin)
		by := "semver " + f.Semver
		if f.Newest != "" {
			by = "the newest of " + f.Newest
		}
		following.Reasons = append(following.Reasons, f.Image+" follows "+by+".")
	}
	if len(following.Pins) > 0 {
		following.Reasons = append(following.Reasons, "[skip ci]")
	}
	return following, nil
}

// choice is the state of one image that follows tags.
type choice struct {
	t      deploy.Target
	policy project.Follow
	now    image.Pin
	past   release.Past
	notes  []string
}

// reached is a pin with the registry of the environment where it names none.
func reached(env project.Environment, pin image.Pin) image.Pin {
	if reference.Host(pin.Repository) == "" && env.Registry != "" {
		pin.Repository = env.Registry + "/" + pin.Repository
	}
	return pin
}

func (c *choice) choose(ctx context.Context) (image.Pin, error) {
	tags, err := image.Tags(ctx, reached(c.t.Environment, c.now).Repository, c.t.Reach(image.Options{}))
	if err != nil {
		return image.Pin{}, err
	}
	if c.policy.Semver != "" {
		return c.greatest(ctx, tags)
	}
	return c.newest(ctx, tags)
}

// strict is the version of a tag with three numbers: shorter ones move.
func strict(tag string) (*semver.Version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	return v, err == nil
}

// greatest returns the greatest version in the range, if it is greater than that of now.
func (c *choice) greatest(ctx context.Context, tags []string) (image.Pin, error) {
	within, err := semver.NewConstraint(c.policy.Semver)
	if err != nil {
		return image.Pin{}, err
	}
	now, isVersion := strict(c.now.Tag)
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		v, ok := strict(tag)
		return !ok || !within.Check(v) || isVersion && !v.GreaterThan(now)
	})
	slices.SortFunc(tags, func(a, b string) int {
		v, _ := strict(a)
		w, _ := strict(b)
		return cmp.Or(w.Compare(v), strings.Compare(a, b))
	})
	for _, tag := range tags {
		pin, err := c.usable(ctx, tag)
		if err != nil || pin.Digest != "" {
			return pin, err
		}
	}
	return image.Pin{}, nil
}

// newest returns the image that was built last, if it was built after that of now.
func (c *choice) newest(ctx context.Context, tags []string) (image.Pin, error) {
	matches, err := regexp.Compile(c.policy.Newest)
	if err != nil {
		return image.Pin{}, err
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return !matches.MatchString(tag) })
	if len(tags) > maxInspected {
		return image.Pin{}, fmt.Errorf("%d tags match %q, more than %d", len(tags), c.policy.Newest, maxInspected)
	}
	var best image.Pin
	var built time.Time
	if c.now.Tag != "" || c.now.Digest != "" {
		if built, err = c.builtAt(ctx, c.now); err != nil || built.IsZero() {
			if missing := (*image.NotFoundError)(nil); errors.As(err, &missing) || err == nil {
				c.notes = append(c.notes, fmt.Sprintf("%s is not followed: the registry does not say when %s was built",
					c.policy.Image, c.now.Reference()))
				return best, nil
			}
			return best, err
		}
	}
	for _, tag := range tags {
		pin, err := c.usable(ctx, tag)
		if err != nil {
			return image.Pin{}, err
		}
		if pin.Digest == "" {
			continue
		}
		at, err := c.builtAt(ctx, pin)
		if err != nil {
			return image.Pin{}, err
		}
		if at.After(built) {
			best, built = pin, at
		}
	}
	return best, nil
}

func (c *choice) builtAt(ctx context.Context, pin image.Pin) (time.Time, error) {
	info, err := image.Inspect(ctx, reached(c.t.Environment, pin).Reference(), c.t.Reach(image.Options{}))
	return info.Created, err
}

// usable returns the image of a tag; without a digest where the tag has gone, or its image is in quarantine.
func (c *choice) usable(ctx context.Context, tag string) (image.Pin, error) {
	pin := c.now
	pin.Tag, pin.Digest = tag, ""
	found, err := image.Resolve(ctx, reached(c.t.Environment, pin).Reference(), c.t.Reach(image.Options{}))
	if missing := (*image.NotFoundError)(nil); errors.As(err, &missing) {
		return image.Pin{}, nil
	}
	if err != nil {
		return image.Pin{}, err
	}
	pin.Digest = found.Digest
	if rel, _, held := c.past.QuarantinedImage([]image.Pin{pin}); held {
		c.notes = append(c.notes, fmt.Sprintf("%s is skipped: release %d of %s is in quarantine",
			pin.Reference(), rel.Revision, c.t.Environment.Name))
		return image.Pin{}, nil
	}
	return pin, nil
}

// followHere is Follow with the files of this commit.
func followHere(ctx context.Context, t deploy.Target, past release.Past) (Following, error) {
	r, err := render.Open(t.Source.Project.Dir, t.Render)
	if err != nil {
		return Following{}, err
	}
	defer r.Close()
	now, err := followed(ctx, r, t.Environment)
	if err != nil {
		return Following{}, err
	}
	return Follow(ctx, t, now, past)
}
