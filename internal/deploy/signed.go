package deploy

import (
	"context"
	"os"

	"slipway/internal/image"
	"slipway/internal/signature"
)

// pin finds or makes the content of one image. Where the environment demands signatures, it is
// refused without one before anything is built or copied.
func (t Target) pin(ctx context.Context, m image.Matched, siblings []string, o PrepareOptions) (image.Pin, error) {
	demands := t.Environment.Signatures
	if o.Unsigned {
		demands = nil
	}
	checked := ""
	if len(demands) > 0 && o.Build {
		quiet := o
		quiet.Build, quiet.Image.Notify = false, nil
		pin, err := t.pin(ctx, m, siblings, quiet)
		if err != nil {
			return pin, err
		}
		checked = pin.Digest
	}
	pin, err := image.Ensure(ctx, t.Source, t.Environment, m, siblings, o.Build, o.Image)
	if err != nil {
		return pin, err
	}
	if o.Sign != nil {
		return pin, image.Sign(ctx, pin, o.Sign, o.Image)
	}
	if len(demands) > 0 && (checked == "" || pin.Digest != checked) {
		err = t.signed(ctx, pin, siblings, o.Image)
	}
	return pin, err
}

// signed demands that somebody whom the environment trusts has signed an image.
func (t Target) signed(ctx context.Context, pin image.Pin, siblings []string, o image.Options) error {
	root, err := os.OpenRoot(t.Source.Project.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var demands []signature.Demand
	for _, s := range t.Environment.Signatures {
		demands = append(demands, signature.Demand(s))
	}
	by, err := signature.Authorities(demands, root.ReadFile)
	if err != nil {
		return err
	}
	_, err = image.Signed(ctx, pin, siblings, by, o)
	return err
}
