package render

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"slipway/internal/object"
)

// The limits of one render. Templates cannot be stopped from outside: an endless one is abandoned, and ends
// with the process.
const (
	maxTime   = time.Minute
	maxMemory = 3 << 30
	look      = 50 * time.Millisecond
)

// PanicError is a panic in a library while one environment was rendered.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("the renderer panicked: %v", e.Value) }

// bounded calls f within the limits.
func bounded[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxTime, fmt.Errorf("%w: not finished after %v",
		object.ErrBudget, maxTime))
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if v := recover(); v != nil {
				a.err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			done <- a
		}()
		a.value, a.err = f(ctx)
	}()
	tick := time.NewTicker(look)
	defer tick.Stop()
	var none T
	for {
		select {
		case a := <-done:
			if a.err != nil && errors.Is(a.err, context.DeadlineExceeded) {
				a.err = context.Cause(ctx)
			}
			return a.value, a.err
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-tick.C:
			if heap() > maxMemory {
				return none, fmt.Errorf("%w: more than %d GiB of memory", object.ErrBudget, maxMemory>>30)
			}
		}
	}
}

// heap returns the size of the heap's objects in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
