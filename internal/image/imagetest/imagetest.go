// Package imagetest gives tests a registry in their own process, and generated images. Its functions panic on
// errors.
package imagetest

import (
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Start starts an empty registry, and returns its host:port.
func Start(t testing.TB, with ...registry.Option) string {
	s := httptest.NewServer(registry.New(append(with, registry.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Must returns a value, and panics on an error.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Push pushes an image or an index to a reference, and returns its digest.
func Push(ref string, what remote.Taggable) string {
	at := Must(name.ParseReference(ref, name.Insecure))
	if err := remote.Push(at, what); err != nil {
		panic(err)
	}
	return Must(partial.Digest(what)).String()
}

// Image returns a random image of two layers for Linux on an architecture.
func Image(size int64, arch string, labels map[string]string) v1.Image {
	img := Must(random.Image(size, 2))
	cfg := Must(img.ConfigFile()).DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Config.Labels = "linux", arch, maps.Clone(labels)
	return Must(mutate.ConfigFile(img, cfg))
}

// Index returns an image for arm64 and amd64, with BuildKit's attestations of the attested architectures.
func Index(size int64, labels map[string]string, attested ...string) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"arm64", "amd64"} {
		img := Image(size, arch, labels)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
		if !strings.Contains(strings.Join(attested, " "), arch) {
			continue
		}
		about := Must(img.Digest()).String()
		said := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
		for _, predicate := range []string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"} {
			said = Must(mutate.Append(said, mutate.Addendum{
				Layer:       static.NewLayer([]byte(`{"about":"`+about+predicate+`"}`), "application/vnd.in-toto+json"),
				Annotations: map[string]string{"in-toto.io/predicate-type": predicate},
			}))
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: said, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest",
				"vnd.docker.reference.digest": about},
		}})
	}
	return index
}

// Attach attaches a text to a digest, which need not exist, and returns the digest of the attachment. The
// type of the artifact is that of its configuration, as some clients write it.
func Attach(to name.Digest, kind types.MediaType, text []byte) string {
	subject := v1.Descriptor{MediaType: types.OCIManifestSchema1,
		Digest: Must(v1.NewHash(to.DigestStr())), Size: 1}
	if there, err := remote.Head(to); err == nil {
		subject = v1.Descriptor{MediaType: there.MediaType, Digest: there.Digest, Size: there.Size}
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), kind)
	artifact = Must(mutate.AppendLayers(artifact, static.NewLayer(text, kind)))
	artifact = mutate.Subject(artifact, subject).(v1.Image)
	digest := Must(artifact.Digest()).String()
	if err := remote.Write(to.Context().Digest(digest), artifact); err != nil {
		panic(err)
	}
	return digest
}
