// Package signature signs images by digest and verifies signatures, in the format of cosign 3: a Sigstore
// bundle that refers to the image, in the image's repository.
package signature

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	bundleTypes   = "application/vnd.dev.sigstore.bundle" // all versions begin so
	emptyType     = "application/vnd.oci.empty.v1+json"
	predicateType = "https://sigstore.dev/cosign/sign/v1"

	// Everybody who can push can attach things to an image, so that their number must be limited.
	maxReferrers = 100
	maxBundle    = 4 << 20
)

// Image is an image in a registry, and how to reach it.
type Image struct {
	Digest  name.Digest
	Options []remote.Option
}

// UnsignedError says that no trusted authority has signed an image.
type UnsignedError struct {
	// Image is its reference, Found describes other attachments, By names the trusted authorities.
	Image     string
	Found, By []string
}

func (e *UnsignedError) Error() string {
	found := "no signature found"
	if len(e.Found) > 0 {
		found = strings.Join(e.Found, "; ")
	}
	return fmt.Sprintf("%s is not signed by %s: %s", e.Image, strings.Join(e.By, " or "), found)
}

// Find returns the name of the first authority that has signed an image. Where none has, found describes the
// other attachments.
func Find(ctx context.Context, img Image, by []Authority) (who string, found []string, err error) {
	digest, err := v1.NewHash(img.Digest.DigestStr())
	if err != nil {
		return "", nil, err
	}
	index, err := remote.Referrers(img.Digest, img.Options...)
	if err != nil {
		return "", nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return "", nil, err
	}
	for i, d := range list.Manifests {
		if i == maxReferrers {
			found = append(found, fmt.Sprintf("%d more attachments were not read", len(list.Manifests)-i))
			break
		}
		b, err := read(img, d.Digest)
		switch {
		case ctx.Err() != nil:
			return "", nil, ctx.Err()
		case err != nil:
			found = append(found, fmt.Sprintf("%.19s: %v", d.Digest, err))
			continue
		case b == nil:
			continue
		}
		var why []string
		for _, a := range by {
			reason := a.verify(b, digest)
			if reason == "" {
				return a.Name, nil, nil
			}
			if !slices.Contains(why, reason) {
				why = append(why, reason)
			}
		}
		found = append(found, fmt.Sprintf("%.19s is not one: %s", d.Digest, strings.Join(why, ", ")))
	}
	return "", found, nil
}

// read returns the bundle in a referrer; nil where it is something else.
func read(img Image, referrer v1.Hash) (*bundle.Bundle, error) {
	artifact, err := remote.Image(img.Digest.Context().Digest(referrer.String()), img.Options...)
	if err != nil {
		return nil, err
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		return nil, err
	}
	// Without the referrers API the list does not always have the type. The layer has.
	if t, err := layers[0].MediaType(); err != nil || !strings.HasPrefix(string(t), bundleTypes) {
		return nil, err
	}
	r, err := layers[0].Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxBundle))
	if err != nil {
		return nil, err
	}
	b := &bundle.Bundle{}
	return b, b.UnmarshalJSON(text)
}

// attach pushes a bundle that refers to an image.
func attach(img Image, b *bundle.Bundle) error {
	subject, err := remote.Head(img.Digest, img.Options...)
	if err != nil {
		return err
	}
	text, err := b.MarshalJSON()
	if err != nil {
		return err
	}
	m := manifest{v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: bundleType, Subject: subject,
		Annotations: map[string]string{
			"org.opencontainers.image.created":  time.Now().UTC().Format(time.RFC3339),
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": predicateType,
		},
	}}
	for _, part := range []v1.Layer{static.NewLayer([]byte("{}"), emptyType),
		static.NewLayer(text, bundleType)} {
		if err := remote.WriteLayer(img.Digest.Context(), part, img.Options...); err != nil {
			return err
		}
		d, err := partial.Descriptor(part)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, *d)
	}
	m.Config, m.Layers = m.Layers[0], m.Layers[1:]
	m.Config.ArtifactType = bundleType
	digest, err := partial.Digest(m)
	if err != nil {
		return err
	}
	return remote.Put(img.Digest.Context().Digest(digest.String()), m, img.Options...)
}

// manifest is a manifest that can be pushed.
type manifest struct{ v1.Manifest }

func (m manifest) RawManifest() ([]byte, error)        { return json.Marshal(m.Manifest) }
func (m manifest) MediaType() (types.MediaType, error) { return m.Manifest.MediaType, nil }
