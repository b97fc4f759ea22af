package cluster

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// inFlight bounds the concurrent requests of one operation.
	inFlight = 8
	// attempts and firstPause add up to about six seconds, enough for a restart of the API server.
	attempts   = 6
	firstPause = 200 * time.Millisecond
	// answerTime bounds one request with its retries; a webhook may take 30 seconds.
	answerTime = 60 * time.Second
)

// retrier retries a request when the server is busy, or when the connection broke after it had worked. Every
// request that we send may be repeated. An answer with Retry-After is left to client-go, which waits for that
// long.
type retrier struct {
	next     http.RoundTripper
	answered atomic.Bool // until the first answer, the address is just wrong
}

// RoundTrip implements http.RoundTripper.
func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	for n, pause := 1, firstPause; ; n, pause = n+1, 2*pause {
		resp, err := r.next.RoundTrip(req)
		if err == nil {
			r.answered.Store(true)
		}
		if n == attempts || !r.mayPass(n, resp, err) || !sleep(req.Context(), pause+rand.N(pause/2)) {
			return resp, err
		}
		if resp != nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if req = req.Clone(req.Context()); req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// mayPass says that a retry may succeed.
func (r *retrier) mayPass(n int, resp *http.Response, err error) bool {
	if err != nil {
		return r.answered.Load()
	}
	if resp.Header.Get("Retry-After") != "" {
		return false
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError: // a change of etcd's leader, or a webhook that is down for good
		return n < 3
	}
	return false
}

// sleep returns false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Each runs f for 0 to n-1, with a bounded number at once.
func Each(n int, f func(int)) {
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i := range n {
		g.Go(func() error { f(i); return nil })
	}
	_ = g.Wait() // no f fails
}
