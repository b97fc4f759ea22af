package image

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/git"
)

// Info describes an image in a registry.
type Info struct {
	// Reference has the digest, and the tag of the request.
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Size is the compressed size of all blobs, each counted once.
	Size      int64      `json:"size"`
	Platforms []Platform `json:"platforms"`
	// Labels are the labels of the first platform.
	Labels       map[string]string `json:"labels,omitempty"`
	Attestations []Attestation     `json:"attestations,omitempty"`
	// Commit is the one that the labels name, and Subject its first line, where FindCommit has found it.
	Commit  string `json:"commit,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Created is when the first platform was built; zero where the image does not say.
	Created time.Time `json:"-"`
}

// Platform is one platform of an image.
type Platform struct {
	Name   string `json:"name"` // "linux/arm64/v8"
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Attestation is a statement about an image, by its builder or its signer.
type Attestation struct {
	// Kind is provenance, sbom, signature, or the type itself.
	Kind string `json:"kind"`
	Type string `json:"type"`
	// Platform is the platform that it is about; empty: the whole image.
	Platform string `json:"platform,omitempty"`
}

// The labels that say where an image comes from.
const (
	LabelRevision = "org.opencontainers.image.revision"
	LabelSource   = "org.opencontainers.image.source"
	LabelCreated  = "org.opencontainers.image.created"
	labelTitle    = "org.opencontainers.image.title"
	labelVersion  = "org.opencontainers.image.version"
)

// The annotations of BuildKit's attestations.
const (
	referenceType   = "vnd.docker.reference.type"
	referenceDigest = "vnd.docker.reference.digest"
	predicateType   = "in-toto.io/predicate-type"
	bundlePredicate = "dev.sigstore.bundle.predicateType"
)

// Inspect describes the image of a reference with a tag or a digest. It fetches no layer. It fails with a
// *NotFoundError where the registry does not have the image.
func Inspect(ctx context.Context, ref string, o Options) (Info, error) {
	p, err := parseImage(ref)
	if err != nil {
		return Info{}, err
	}
	r := reading{store: o.store(), blobs: map[v1.Hash]bool{}}
	at, err := r.reference(p.Repository, p)
	if err != nil {
		return Info{}, err
	}
	switch err := r.read(ctx, at); {
	case notFound(err):
		return Info{}, &NotFoundError{Reference: ref}
	case err != nil:
		return Info{}, explain(p.Repository, at.Context(), err)
	}
	p.Digest = r.info.Digest
	r.info.Reference = p.Reference()
	r.info.Commit = r.info.Labels[LabelRevision]
	return r.info, nil
}

// FindCommit looks up the image's commit in the repository of a directory, and reports whether it is there.
func (i *Info) FindCommit(ctx context.Context, dir string) bool {
	repository, err := git.Open(ctx, dir)
	if err != nil {
		return false // without a repository the label is all that is known
	}
	c, found := repository.Find(ctx, i.Commit)
	i.Subject = c.Subject
	return found
}

// reading is the state of Inspect.
type reading struct {
	store
	info  Info
	blobs map[v1.Hash]bool // counted
}

func (r *reading) read(ctx context.Context, at name.Reference) error {
	top, err := r.puller.Get(ctx, at)
	if err != nil {
		return err
	}
	r.info.Digest, r.info.MediaType = top.Digest.String(), string(top.MediaType)
	if !top.MediaType.IsIndex() {
		err = r.image(top, nil)
	} else {
		err = r.index(ctx, at.Context(), top)
	}
	if err != nil {
		return err
	}
	referrers, err := r.referrers(ctx, at.Context().Digest(r.info.Digest))
	for _, d := range referrers {
		r.attested(cmp.Or(d.Annotations[bundlePredicate], d.ArtifactType), "")
	}
	return err
}

func (r *reading) index(ctx context.Context, at name.Repository, top *remote.Descriptor) error {
	children, err := manifests(top)
	if err != nil {
		return err
	}
	names := map[string]string{} // of platforms, by digest
	for _, d := range children {
		names[d.Digest.String()] = platformName(d.Platform)
	}
	for _, d := range children {
		child, err := r.puller.Get(ctx, at.Digest(d.Digest.String()))
		if err != nil {
			return err
		}
		if d.Annotations[referenceType] == "" {
			if err := r.image(child, d.Platform); err != nil {
				return err
			}
			continue
		}
		m, err := r.layers(child)
		if err != nil {
			return err
		}
		for _, l := range m.Layers {
			r.attested(l.Annotations[predicateType], names[d.Annotations[referenceDigest]])
		}
	}
	return nil
}

// layers adds the blobs of a manifest to the size, and returns the manifest.
func (r *reading) layers(d *remote.Descriptor) (*v1.Manifest, error) {
	m, err := v1.ParseManifest(strings.NewReader(string(d.Manifest)))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	for _, b := range append(m.Layers, m.Config) {
		if !r.blobs[b.Digest] {
			r.blobs[b.Digest] = true
			r.info.Size += b.Size
		}
	}
	return m, nil
}

// image adds one platform. Where the index names the platforms, only the first configuration is read.
func (r *reading) image(d *remote.Descriptor, platform *v1.Platform) error {
	m, err := r.layers(d)
	if err != nil {
		return err
	}
	p := Platform{Digest: d.Digest.String(), Size: m.Config.Size}
	for _, l := range m.Layers {
		p.Size += l.Size
	}
	if platform == nil || r.info.Labels == nil && len(r.info.Platforms) == 0 {
		cfg, err := configOf(d)
		if err != nil {
			return err
		}
		r.info.Labels, r.info.Created = cfg.Config.Labels, cfg.Created.Time
		if platform == nil {
			platform = cfg.Platform()
		}
	}
	p.Name = platformName(platform)
	r.info.Platforms = append(r.info.Platforms, p)
	return nil
}

func (r *reading) attested(predicate, platform string) {
	kind := predicate
	for text, k := range map[string]string{
		"slsa.dev/provenance": "provenance", "spdx": "sbom", "cyclonedx": "sbom",
		"sigstore.dev/cosign/sign":    "signature",
		"vnd.dev.cosign.artifact.sig": "signature", "vnd.dev.sigstore.bundle": "signature",
	} {
		if strings.Contains(predicate, text) {
			kind = k
		}
	}
	r.info.Attestations = append(r.info.Attestations, Attestation{Kind: kind, Type: predicate,
		Platform: platform})
}

func manifests(d *remote.Descriptor) ([]v1.Descriptor, error) {
	m, err := v1.ParseIndexManifest(strings.NewReader(string(d.Manifest)))
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	return m.Manifests, nil
}

func configOf(d *remote.Descriptor) (*v1.ConfigFile, error) {
	img, err := d.Image()
	if err != nil {
		return nil, err
	}
	return img.ConfigFile()
}

func platformName(p *v1.Platform) string {
	if p == nil || p.Architecture == "" {
		return "unknown"
	}
	return p.String()
}
