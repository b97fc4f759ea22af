package image

import (
	"context"
	"encoding/json"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/lazyregexp"
)

// content is what a registry has behind a tag.
type content struct {
	*remote.Descriptor
	// version is the tag that the content was built as, and revision the commit; empty where others built it.
	version, revision string
}

var commitTag = lazyregexp.New(`^sha-[0-9a-f]{7,40}(-[0-9a-f]+)?$`)

// look gets what a pin names in a repository; nil where it is not there. It asks once.
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
	// What is no JSON has no annotations: whoever runs it will say what is wrong.
	if json.Unmarshal(desc.Manifest, &manifest) == nil &&
		commitTag().MatchString(manifest.Annotations[labelVersion]) {
		c.version, c.revision = manifest.Annotations[labelVersion], manifest.Annotations[LabelRevision]
	}
	return c, nil
}

// pinned is p on that content. It keeps the tag that the content was built as: a tag that changes while
// the content does not would restart what runs.
func (c *content) pinned(p Pin) Pin {
	p.Digest = c.Digest.String()
	if c.version != "" {
		p.Tag = c.version
	}
	return p
}

// inputsTag names content by what it is built from.
func inputsTag(inputs string) string { return "inputs-" + inputs[:16] }

// retag puts another tag on content of a pin's repository. It overwrites.
func (s store) retag(ctx context.Context, p Pin, tag string, c *content) error {
	repository, err := locate(p.Repository, s.mirror)
	if err != nil {
		return err
	}
	return explain(p.Repository, repository, s.pusher.Put(ctx, repository.Tag(tag), c.Descriptor))
}
