package image

import (
	"context"
	"fmt"
)

// released tags a pin's content with the versions that its commit is tagged as. It fails with a
// *TagTakenError where such a tag names other content. Nothing is deployed by these tags.
func (e ensurer) released(ctx context.Context, p Pin) error {
	for _, version := range e.src.Versions {
		if err := e.release(ctx, p, version); err != nil {
			return fmt.Errorf("tag release %s: %w", version, err)
		}
	}
	return nil
}

func (e ensurer) release(ctx context.Context, p Pin, version string) error {
	as := p
	as.Tag = version
	if there, err := e.mayTag(ctx, as); err != nil || there {
		return err
	}
	found, err := e.look(ctx, p.Repository, p)
	if err == nil && found == nil {
		err = &MissingError{Pin: p}
	}
	if err == nil {
		err = e.retag(ctx, p, version, found)
	}
	if err == nil {
		e.notify("tagged %s:%s", p.Repository, version)
	}
	return err
}
