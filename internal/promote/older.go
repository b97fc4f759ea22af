package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/Masterminds/semver/v3"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/lazyregexp"
)

// OlderError refuses to replace an image by one of an earlier commit or version.
type OlderError struct {
	Image, Environment string
	// Was is what the environment states, and Tag the tag that would replace it.
	Was, Tag string
	// How says in which way it is older: "is an earlier version than".
	How string
}

func (e *OlderError) Error() string {
	return fmt.Sprintf("promote %s to %s: %s %s %s", e.Image, e.Environment, e.Tag, e.How, e.Was)
}

// past knows what came before what. Without a repository only versions do.
type past struct {
	t          deploy.Target
	repository *git.Repository
}

// refuseOlder fails with an *OlderError where an image would be replaced by an older one. Where that is not
// known it adds a note, as a deploy does.
func (p past) refuseOlder(ctx context.Context, result *Result, o Options) error {
	if o.Older {
		return nil
	}
	for i, was := range result.Before {
		is := result.After[i]
		if was.Tag == "" && was.Digest == "" || was.Tag == is.Tag {
			continue // nothing was stated, or the same version
		}
		how, known, err := p.compare(ctx, was, is)
		switch {
		case err != nil:
			return err
		case how != "":
			return &OlderError{was.Name, result.Environment, was.Reference(), is.Tag, how}
		case !known:
			result.Notes = append(result.Notes, fmt.Sprintf("cannot tell whether %s is older than %s: neither their "+
				"tags nor their labels name commits or versions that can be compared", is.Reference(), was.Reference()))
		}
	}
	return nil
}

// compare says in which way an image is older than another one; empty: it is not. It asks the commits that
// the tags name, then the versions, then the commits in the labels of the images.
func (p past) compare(ctx context.Context, was, is image.Pin) (how string, known bool, err error) {
	before, found := p.commitOf(ctx, was.Tag)
	after, ok := p.commitOf(ctx, is.Tag)
	if found && ok {
		return p.between(ctx, before, after)
	}
	if v, w := versionOf(was.Tag), versionOf(is.Tag); v != nil && w != nil {
		if w.LessThan(v) && !areVariants(v, w) {
			return "is an earlier version than", true, nil
		}
		return "", true, nil
	}
	if p.repository == nil {
		return "", false, nil
	}
	if !found {
		before, found, err = p.labelled(ctx, was)
		if none := (*image.NotFoundError)(nil); errors.As(err, &none) && was.Digest == "" {
			return "", true, nil // a placeholder: nothing can be newer
		}
	}
	if found && !ok {
		after, ok, _ = p.labelled(ctx, is)
	}
	if found && ok {
		return p.between(ctx, before, after)
	}
	return "", false, nil
}

func (p past) between(ctx context.Context, before, after git.Commit) (how string, known bool, err error) {
	more, less, err := p.repository.Between(ctx, before.Hash, after.Hash)
	switch {
	case err != nil || less == 0:
		return "", true, err
	case more > 0:
		return fmt.Sprintf("is from commit %s, which does not contain %s of", git.Short(after.Hash),
			git.Short(before.Hash)), true, nil
	}
	return "is from an earlier commit than", true, nil
}

// hashes matches what may be the hash of a commit in a tag: sha-3f9c2e1, main-3f9c2e1, 3f9c2e1.
var hashes = lazyregexp.New(`(?:^|[._-])g?([0-9a-f]{7,40})(?:$|[._-])`)

// commitOf returns the commit that an image's tag names. One hash in 27 has no letter in its first seven
// digits: what may be the date or the number of a build as well is a commit where the repository has it.
func commitOf(ctx context.Context, r git.Repository, tag string) (git.Commit, bool) {
	for _, m := range hashes().FindAllStringSubmatch(tag, -1) {
		if c, ok := r.Find(ctx, m[1]); ok {
			return c, true
		}
	}
	return git.Commit{}, false
}

func (p past) commitOf(ctx context.Context, tag string) (git.Commit, bool) {
	if p.repository == nil {
		return git.Commit{}, false
	}
	return commitOf(ctx, *p.repository, tag)
}

// labelled returns the commit that an image's label names, where its registry answers.
func (p past) labelled(ctx context.Context, pin image.Pin) (git.Commit, bool, error) {
	info, err := image.Inspect(ctx, pin.Reference(), p.t.Reach(image.Options{}))
	if err != nil {
		return git.Commit{}, false, err
	}
	c, ok := p.repository.Find(ctx, info.Labels[image.LabelRevision])
	return c, ok, nil
}

// areVariants reports whether two tags are of one version, such as 1.2.0 and 1.2.0-alpine. One that is not
// released yet is older.
func areVariants(v, w *semver.Version) bool {
	isEarly := func(v *semver.Version) bool { return early().MatchString(v.Prerelease()) }
	isSame := v.Major() == w.Major() && v.Minor() == w.Minor() && v.Patch() == w.Patch()
	return isSame && !isEarly(v) && !isEarly(w)
}

var early = lazyregexp.New(`^(?i:alpha|beta|rc|pre|dev|snapshot|nightly|[0-9])`)

// versionOf is the version that a tag begins with, as semantic versioning, dates and the numbers of builds
// have it; nil: none.
func versionOf(tag string) *semver.Version {
	m := versions().FindStringSubmatch(tag)
	if m == nil {
		return nil
	}
	v, err := semver.NewVersion(m[1])
	if err != nil {
		return nil
	}
	return v
}

var versions = lazyregexp.New(`^(?:v|release-|build-|r)?([0-9]+(?:\.[0-9]+){0,2}(?:[-+][0-9A-Za-z.+-]+)?)$`)
