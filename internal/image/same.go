package image

import (
	"context"
	"encoding/json"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/lazyregexp"
)

// content is a manifest in a registry.
type content struct {
	*remote.Descriptor
	// version is the tag that Slipway built it as, revision its commit; empty where another program built it.
	version, revision string
}

var commitTag = lazyregexp.New(`^sha-[0-9a-f]{7,40}(-[0-9a-f]+)?$`)

// look reads the manifest of a pin in a repository; nil where the repository does not have it.
func (s store) look(ctx context.Context, repository string, p Pin) (*content, error) {
	ref, err := s.reference(repository, p)
	if err != nil {
		return nil, err
	}
	desc, err := s.puller.Get(ctx, ref)
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(repository, ref.Context(), err)
	}
	var manifest struct{ Annotations map[string]string }
	c := &content{Descriptor: desc}
	// An invalid manifest has no annotations here, and fails where it is used.
	if json.Unmarshal(desc.Manifest, &manifest) == nil &&
		commitTag().MatchString(manifest.Annotations[labelVersion]) {
		c.version, c.revision = manifest.Annotations[labelVersion], manifest.Annotations[LabelRevision]
	}
	return c, nil
}

// pinned is p with the digest of this content and the tag that it was built as: another tag for the same
// content would restart pods.
func (c *content) pinned(p Pin) Pin {
	p.Digest = c.Digest.String()
	if c.version != "" {
		p.Tag = c.version
	}
	return p
}

// inputsTag is the tag of content by the digest of its inputs.
func inputsTag(inputs string) string { return "inputs-" + inputs[:16] }

// retag adds a tag to content in a pin's repository. It overwrites the tag.
func (s store) retag(ctx context.Context, p Pin, tag string, c *content) error {
	repository, err := locate(p.Repository, s.mirror)
	if err != nil {
		return err
	}
	return explain(p.Repository, repository, s.pusher.Put(ctx, repository.Tag(tag), c.Descriptor))
}
