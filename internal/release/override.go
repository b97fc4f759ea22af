package release

import (
	"fmt"
	"strings"

	"slipway/internal/image"
)

// Override are images of a release that its commit does not state: a person promoted them, where the agent
// must not write to Git. The agent leaves the environment until a commit states these images, or others than
// Before.
type Override struct {
	// From is the environment that runs the images.
	From string `json:"from"`
	// Images are those that were promoted, Before what the files of the commit state in their place.
	Images []image.Pin `json:"images"`
	Before []image.Pin `json:"before"`
}

// OverrideText says which images of a release Git does not state, and how that ends; empty: it states all.
func (r Release) OverrideText() string {
	o := r.Override
	if o == nil {
		return ""
	}
	var names []string
	for _, pin := range o.Images {
		name := pin.Name
		if pin.Tag != "" {
			name += ":" + pin.Tag
		}
		names = append(names, name)
	}
	return fmt.Sprintf("release %d runs %s, promoted from %s without a commit: Git states another image until "+
		"`slipway promote %s %s --push`", r.Revision, strings.Join(names, ", "), o.From, o.From, r.Environment)
}
