// Package image recognizes the project's images in rendered objects, builds, pushes, copies and resolves
// them, and puts their digests into the objects.
package image

import "slipway/internal/image/reference"

// Pin ties one of the project's images to its content.
type Pin struct {
	// Name is the image's name in the project.
	Name string `json:"name"`
	// Repository is where it lives, registry included: "ghcr.io/acme/myapp".
	Repository string `json:"repository"`
	// Digest ("sha256:…") is the content; empty as long as the image is not built. Tag is kept for people.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Reference is the image as in a manifest: "ghcr.io/acme/myapp:sha-3f9c2e1@sha256:…".
func (p Pin) Reference() string {
	return reference.Reference{Repository: p.Repository, Tag: p.Tag, Digest: p.Digest}.String()
}
