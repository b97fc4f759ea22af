package cluster

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/object"
)

// StillThereError says that deleted objects are held by something.
type StillThereError struct {
	Refs []object.Ref
	// Held are the finalizers that the first of them waits for.
	Held []any
}

func (e *StillThereError) Error() string {
	more := ""
	if n := len(e.Refs) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	held := "is still being deleted"
	if len(e.Held) > 0 {
		held = fmt.Sprintf("is held by finalizers %v", e.Held)
	}
	return fmt.Sprintf("%s%s %s", e.Refs[0], more, held)
}

// WaitGone waits for deleted objects to be gone. Timeout zero means two minutes; what is there
// afterwards is a *StillThereError.
func (c *Cluster) WaitGone(ctx context.Context, refs []object.Ref, timeout time.Duration) error {
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	deadline := time.After(timeout)
	tick := time.NewTicker(pollFast)
	defer tick.Stop()
	for {
		var left []object.Ref
		var held []any
		for _, ref := range refs {
			live, found, err := c.Get(ctx, ref)
			if err != nil {
				return err
			}
			if found {
				left = append(left, ref)
			}
			if finalizers, ok := live.At("metadata", "finalizers").([]any); ok && held == nil {
				held = finalizers
			}
		}
		if refs = left; len(refs) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			return &StillThereError{Refs: refs, Held: held}
		case <-tick.C:
		}
	}
}
