package cluster

import (
	"context"
	"net/http"
	"strings"
)

type fenceKey struct{}

// WithFence returns a context whose writes are sent only where fence returns nil: it is asked immediately
// before each try, so that a process that was stopped for a while does not write after it has lost its right
// to. A fence may wait until it knows. The fence of the given context is asked too.
func WithFence(ctx context.Context, fence func(context.Context) error) context.Context {
	outer := fenceOf(ctx)
	return context.WithValue(ctx, fenceKey{}, func(ctx context.Context) error {
		if err := outer(ctx); err != nil {
			return err
		}
		return fence(ctx)
	})
}

func fenceOf(ctx context.Context) func(context.Context) error {
	if fence, ok := ctx.Value(fenceKey{}).(func(context.Context) error); ok {
		return fence
	}
	return func(context.Context) error { return nil }
}

// fencedError is the final answer to a write that the fence did not let through.
type fencedError struct{ err error }

func (e *fencedError) Error() string { return e.err.Error() }
func (e *fencedError) Unwrap() error { return e.err }

// fenced asks the fence of a request that writes.
func fenced(req *http.Request) error {
	if !isWrite(req) {
		return nil
	}
	if err := fenceOf(req.Context())(req.Context()); err != nil {
		return &fencedError{err}
	}
	return nil
}

// isWrite says that a request changes what the API server keeps. Reviews and dry runs do not.
func isWrite(req *http.Request) bool {
	return req.Method != http.MethodGet && req.Method != http.MethodHead && !req.URL.Query().Has("dryRun") &&
		!strings.HasSuffix(req.URL.Path, "reviews")
}
