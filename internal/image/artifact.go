package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/internal/image/signature"
)

// emptyConfig is the media type of the config of an artifact without one.
const emptyConfig = "application/vnd.oci.empty.v1+json"

// Artifact is something else than an image in a registry: one layer and annotations.
type Artifact struct {
	// Type and LayerType are media types: of the whole, and of its layer.
	Type, LayerType string
	Layer           []byte
	Annotations     map[string]string
}

// Scheme is how the address of an artifact begins: oci://REPOSITORY[:TAG].
const Scheme = "oci://"

// ParseArtifact parses the address of an artifact, with or without the Scheme, as a user types it.
func ParseArtifact(ref string) (Pin, error) {
	p, err := parseReference(strings.TrimPrefix(ref, Scheme))
	if err == nil && p.Digest != "" {
		err = &ReferenceError{Reference: ref, Reason: "a digest cannot be chosen: give a repository and a tag"}
	}
	return p, err
}

// PushArtifact pushes an artifact to the repository of a pin, signs it where there is a signer, and then has
// the pin's tag name it, whatever it named before. It returns the pin with the digest, which is the same for
// the same artifact.
func PushArtifact(ctx context.Context, p Pin, a Artifact, by *signature.Signer, o Options) (Pin, error) {
	s := o.store()
	repository, err := locate(p.Repository, s.mirror)
	if err != nil {
		return p, err
	}
	layer := static.NewLayer(a.Layer, types.MediaType(a.LayerType))
	m, err := a.manifest(layer)
	if err != nil {
		return p, err
	}
	digest, err := partial.Digest(m)
	if err != nil {
		return p, err
	}
	p.Digest = digest.String()
	for _, part := range []v1.Layer{static.NewLayer([]byte("{}"), emptyConfig), layer} {
		if err := s.pusher.Upload(ctx, repository, part); err != nil {
			return p, explain(p.Repository, repository, err)
		}
	}
	if err := s.pusher.Push(ctx, repository.Digest(p.Digest), m); err != nil {
		return p, explain(p.Repository, repository, err)
	}
	if by != nil {
		if err := Sign(ctx, p, by, o); err != nil {
			return p, err
		}
	}
	return p, explain(p.Repository, repository, s.pusher.Push(ctx, repository.Tag(p.Tag), m))
}

func (a Artifact) manifest(layer v1.Layer) (artifactManifest, error) {
	var parts []v1.Descriptor
	for _, part := range []v1.Layer{static.NewLayer([]byte("{}"), emptyConfig), layer} {
		d, err := partial.Descriptor(part)
		if err != nil {
			return artifactManifest{}, err
		}
		parts = append(parts, *d)
	}
	return artifactManifest{v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.Type, Config: parts[0],
		Layers: parts[1:], Annotations: a.Annotations,
	}}, nil
}

// artifactManifest is a manifest that can be pushed.
type artifactManifest struct{ v1.Manifest }

func (m artifactManifest) RawManifest() ([]byte, error)        { return json.Marshal(m.Manifest) }
func (m artifactManifest) MediaType() (types.MediaType, error) { return m.Manifest.MediaType, nil }

// Tagged returns the digest that a tag names now, with one request; empty: the repository has no such tag.
func (c *Client) Tagged(ctx context.Context, p Pin) (string, error) {
	p.Digest = ""
	return store{Client: c}.find(ctx, p.Repository, p)
}

// PullArtifact reads an artifact by its digest, and fails where it has other media
// types or a layer over the limit, or with a *CorruptError where content is not what its digest says.
func PullArtifact(ctx context.Context, p Pin, want Artifact, limit int64, o Options) (Artifact, error) {
	s := o.store()
	repository, err := locate(p.Repository, s.mirror)
	if err != nil {
		return Artifact{}, err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s is not an artifact of type %s: %s", p.Reference(), want.Type,
			fmt.Sprintf(format, args...))
	}
	got, err := s.puller.Get(ctx, repository.Digest(p.Digest))
	if err != nil {
		return Artifact{}, explain(p.Repository, repository, err)
	}
	var m v1.Manifest
	switch {
	case got.MediaType != types.OCIManifestSchema1:
		return Artifact{}, refuse("it is %q", got.MediaType)
	case json.Unmarshal(got.Manifest, &m) != nil:
		return Artifact{}, refuse("its manifest is not JSON")
	case m.ArtifactType != want.Type:
		return Artifact{}, refuse("its type is %q", m.ArtifactType)
	case len(m.Layers) != 1:
		return Artifact{}, refuse("it has %d layers", len(m.Layers))
	case string(m.Layers[0].MediaType) != want.LayerType:
		return Artifact{}, refuse("its layer is %q", m.Layers[0].MediaType)
	case m.Layers[0].Size > limit:
		return Artifact{}, refuse("its layer is larger than %d MiB", limit>>20)
	}
	layer, err := s.puller.Layer(ctx, repository.Digest(m.Layers[0].Digest.String()))
	if err != nil {
		return Artifact{}, explain(p.Repository, repository, err)
	}
	text, err := readLayer(layer, m.Layers[0].Size)
	if err != nil {
		return Artifact{}, explain(p.Repository, repository, err)
	}
	return Artifact{Type: want.Type, LayerType: want.LayerType, Layer: text, Annotations: m.Annotations}, nil
}

// readLayer reads a layer, which go-containerregistry verifies against its digest.
func readLayer(layer v1.Layer, size int64) ([]byte, error) {
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, size+1))
	return text, errors.Join(err, r.Close())
}

var _ remote.Taggable = artifactManifest{}
