package image

import (
	"context"
	"fmt"
)

// released gives a pin's content the names of the releases that its commit is tagged as, and refuses a name
// that means something else already. Content is there before: nothing is deployed by these names.
func (e ensurer) released(ctx context.Context, p Pin) error {
	for _, version := range e.src.Versions {
		as := p
		as.Tag = version
		there, err := e.mayTag(ctx, as)
		if err != nil {
			return fmt.Errorf("tag release %s: %w", version, err)
		}
		if there {
			continue
		}
		found, err := e.look(ctx, p.Repository, p)
		if err != nil {
			return fmt.Errorf("tag release %s: %w", version, err)
		}
		if found == nil {
			return &MissingError{Pin: p, Looked: []string{p.Repository}}
		}
		if err := e.retag(ctx, p, version, found); err != nil {
			return fmt.Errorf("tag release %s: %w", version, err)
		}
		e.notify("tagged %s:%s", p.Repository, version)
	}
	return nil
}
