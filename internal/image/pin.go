// Package image makes images and names them for good: it recognises the project's images in
// rendered objects, builds, pushes, copies and resolves them, and puts digests into the objects.
package image

import "slipway/internal/image/reference"

// Pin ties one of the project's images to the content that runs.
type Pin struct {
	// Name is the image as the project calls it.
	Name string `json:"name"`
	// Repository is where it lives, registry included: "ghcr.io/acme/myapp".
	Repository string `json:"repository"`
	// Tag is kept for people; Digest ("sha256:…") is what counts. Digest is empty as long as the
	// image has not been built.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Reference is what the manifest says: "ghcr.io/acme/myapp:sha-3f9c2e1@sha256:…".
func (p Pin) Reference() string {
	return reference.Reference{Repository: p.Repository, Tag: p.Tag, Digest: p.Digest}.String()
}
