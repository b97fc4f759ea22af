package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// inFlight bounds the requests that one of our acts has in flight.
	inFlight = 8
	// attempts and firstPause make about six seconds of patience: a restart of the API server.
	attempts   = 6
	firstPause = 200 * time.Millisecond
	// answerTime is how long one request may take; webhooks may take 30 seconds each.
	answerTime = 60 * time.Second
)

// call makes one request, and again where the server asks to come back later or the connection
// broke after it had worked. The request must be safe to repeat. The client underneath already
// honours Retry-After.
func (c *Cluster) call(ctx context.Context, request func(context.Context) error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := attempt(ctx, request)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || !noAnswer(err) {
			c.answered.Store(true)
		}
		if err == nil || n == attempts || !c.passing(err, n) {
			return err
		}
		wait := pause + rand.N(pause/2)
		if s, ok := apierrors.SuggestsClientDelay(err); ok {
			wait = max(wait, time.Duration(s)*time.Second)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

func attempt(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return request(ctx)
}

// passing tells errors that may be gone the next time.
func (c *Cluster) passing(err error, n int) bool {
	switch {
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err),
		apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err):
		return true
	case apierrors.IsInternalError(err): // a change of etcd's leader, or a webhook that is down for good
		return n < 3
	}
	return noAnswer(err) && c.answered.Load()
}

// each runs f for 0 to n-1, a few at once.
func each(n int, f func(int)) {
	var (
		wg   sync.WaitGroup
		free = make(chan struct{}, inFlight)
	)
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}
