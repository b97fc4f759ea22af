package image

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/internal/image/reference"
)

// ReferenceError says that a text is not a reference to one image.
type ReferenceError struct{ Reference, Reason string }

func (e *ReferenceError) Error() string { return fmt.Sprintf("image %q: %s", e.Reference, e.Reason) }

// NotFoundError says that a registry has no such image.
type NotFoundError struct{ Reference string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("image %s does not exist", e.Reference) }

// parseReference parses a reference that a user typed.
func parseReference(s string) (Pin, error) {
	r := reference.Parse(s)
	if _, err := name.ParseReference(s, name.WeakValidation); err != nil {
		return Pin{}, &ReferenceError{Reference: s, Reason: "not a valid image name"}
	}
	return Pin{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}, nil
}

// parseImage parses a reference that must have a tag or a digest.
func parseImage(s string) (Pin, error) {
	p, err := parseReference(s)
	if err == nil && p.Tag == "" && p.Digest == "" {
		err = &ReferenceError{Reference: s, Reason: "the tag or digest is missing"}
	}
	return p, err
}

// Copy copies an image to another name, in any registry, with all its platforms, attestations and signatures.
// If dst has no tag it gets that of src. It fails with a *TagTakenError where the tag names another image.
// Only missing content is sent; sent tells whether there was any.
func Copy(ctx context.Context, src, dst string, o Options) (p Pin, sent bool, err error) {
	from, err := parseImage(src)
	if err != nil {
		return p, false, err
	}
	if p, err = parseReference(dst); err != nil {
		return p, false, err
	}
	s := o.store()
	digest, err := s.find(ctx, from.Repository, from)
	switch {
	case err != nil:
		return p, false, err
	case digest == "":
		return p, false, &NotFoundError{Reference: src}
	case p.Digest != "" && p.Digest != digest:
		return p, false, &ReferenceError{Reference: dst, Reason: "its digest is not that of " + src +
			", which is " + digest}
	}
	if p.Tag == "" && p.Digest == "" {
		if p.Tag, err = s.checkTag(ctx, src, from); err != nil {
			return p, false, err
		}
	}
	p.Digest = digest
	sent, err = s.copy(ctx, from.Repository, p)
	return p, sent, err
}

// checkTag returns the tag of a pin that a user typed. It fails where the tag names another digest than the
// pin: such a tag must not be copied.
func (s store) checkTag(ctx context.Context, typed string, p Pin) (string, error) {
	if p.Tag == "" || p.Digest == "" {
		return p.Tag, nil
	}
	named, err := s.find(ctx, p.Repository, Pin{Repository: p.Repository, Tag: p.Tag})
	if err == nil && named != "" && named != p.Digest {
		err = &ReferenceError{Reference: typed, Reason: "its tag is " + named +
			" in the registry: leave out the tag, or give the copy one"}
	}
	return p.Tag, err
}

// copy copies the content of a pin from another repository to the pin's own. The tag comes last, so that it
// names complete content.
func (s store) copy(ctx context.Context, from string, p Pin) (sent bool, err error) {
	there, err := s.mayTag(ctx, p)
	if err != nil || there {
		return false, err
	}
	source, err := s.reference(from, p)
	if err != nil {
		return false, err
	}
	target, err := s.target(p)
	if err != nil {
		return false, err
	}
	metered, ended := measure(ctx, p.Reference(), s.transfer)
	err = s.push(metered, source, target)
	ended()
	if repository, at := p.Repository, target.Context(); err != nil {
		if failedReading(err, source.Context(), at) {
			repository, at = from, source.Context()
		}
		return false, explain(repository, at, err)
	}
	return true, nil
}

// jobs is how many blobs are transferred at once.
const jobs = 8

func (s store) push(ctx context.Context, source, target name.Reference) error {
	content, err := s.puller.Get(ctx, source)
	if err != nil {
		return err
	}
	if source.Context() != target.Context() {
		referrers, err := s.referrers(ctx, source.Context().Digest(content.Digest.String()))
		if err != nil {
			return err
		}
		for _, r := range referrers {
			referrer, err := s.puller.Get(ctx, source.Context().Digest(r.Digest.String()))
			if err != nil {
				return err
			}
			if err := s.pusher.Push(ctx, target.Context().Digest(r.Digest.String()), referrer); err != nil {
				return err
			}
		}
	}
	return s.pusher.Push(ctx, target, content)
}

// referrers are attached to an image without being part of it: signatures and attestations. A registry that
// does not support them has none.
func (s store) referrers(ctx context.Context, d name.Digest) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(d, s.options(ctx)...)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode >= 400 && answer.StatusCode < 500 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", d, err)
	}
	return m.Manifests, nil
}

// failedReading tells whether a copy failed while reading from its source.
func failedReading(err error, source, target name.Repository) bool {
	var (
		answer *transport.Error
		sent   *url.Error
		at     string
	)
	switch {
	case isCorrupt(err):
		return true
	case errors.As(err, &answer) && answer.Request != nil:
		at = answer.Request.URL.String()
	case errors.As(err, &sent):
		at = sent.URL
	}
	of := func(r name.Repository) bool {
		return strings.HasPrefix(at, fmt.Sprintf("%s://%s/v2/%s/", r.Scheme(), r.RegistryStr(), r.RepositoryStr()))
	}
	return of(source) && !of(target) || source.RegistryStr() != target.RegistryStr() &&
		strings.Contains(at, "://"+source.RegistryStr()+"/")
}
