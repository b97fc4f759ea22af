package main

import (
	"maps"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// pushIndex pushes an image for two platforms with these labels and with BuildKit's attestations of one:
// registry index REPOSITORY:TAG [LABEL=VALUE…].
func pushIndex(ts *testscript.TestScript, at string, labels map[string]string) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var about v1.Hash
	for _, arch := range []string{"arm64", "amd64"} {
		img, err := random.Image(200_000, 2)
		ts.Check(err)
		cfg, err := img.ConfigFile()
		ts.Check(err)
		cfg = cfg.DeepCopy()
		cfg.OS, cfg.Architecture, cfg.Config.Labels = "linux", arch, maps.Clone(labels)
		img, err = mutate.ConfigFile(img, cfg)
		ts.Check(err)
		about, err = img.Digest()
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	said := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, predicate := range []string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"} {
		var err error
		said, err = mutate.Append(said, mutate.Addendum{
			Layer:       static.NewLayer([]byte(predicate), "application/vnd.in-toto+json"),
			Annotations: map[string]string{"in-toto.io/predicate-type": predicate},
		})
		ts.Check(err)
	}
	index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: said, Descriptor: v1.Descriptor{
		Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about.String()},
	}})
	ref, err := name.ParseReference(at, name.Insecure)
	ts.Check(err)
	ts.Check(remote.WriteIndex(ref, index))
}
