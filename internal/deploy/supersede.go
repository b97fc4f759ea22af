package deploy

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/git"
	"slipway/internal/release"
)

// SupersededError is the cause to cancel Apply with when a newer commit is to be deployed instead. The
// release is recorded as superseded: neither healthy nor failed. It is not rolled back, as the next deploy
// takes over what it has applied.
type SupersededError struct{ Commit string }

func (e *SupersededError) Error() string {
	return fmt.Sprintf("superseded by commit %s before it was judged", git.Short(e.Commit))
}

// stopped is the status of a release whose context has ended.
func stopped(ctx context.Context) release.Status {
	if errors.As(context.Cause(ctx), new(*SupersededError)) {
		return release.Superseded
	}
	return release.Interrupted
}
