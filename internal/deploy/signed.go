package deploy

import (
	"context"
	"fmt"
	"os"

	"slipway/internal/image"
	"slipway/internal/image/signature"
)

// authorities returns who may sign the images of the environment; nil when it demands no signature.
func authorities(t Target, o PrepareOptions) ([]signature.Authority, error) {
	if o.Unsigned || len(t.Environment.Signatures) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(t.Source.Project.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	by, err := signature.Authorities(t.Environment.Signatures, root.ReadFile)
	if err != nil {
		return nil, fmt.Errorf("signatures of %s: %w", t.Environment.Name, err)
	}
	return by, nil
}

// pin resolves or builds one image, and signs it or verifies its signature.
func pin(ctx context.Context, t Target, m image.Matched, siblings []string, by []signature.Authority,
	o PrepareOptions) (image.Pin, error) {
	pin, err := image.Ensure(ctx, t.Source, t.Environment, m, siblings, o.Build, o.Image)
	switch {
	case err != nil:
	case o.Sign != nil:
		err = image.Sign(ctx, pin, o.Sign, o.Image)
	case len(by) > 0:
		_, err = image.Signed(ctx, pin, siblings, by, o.Image)
	}
	return pin, err
}
