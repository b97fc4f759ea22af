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
	// inFlight bounds the requests that one of our acts has in flight.
	inFlight = 8
	// attempts and firstPause make about six seconds of patience: a restart of the API server.
	attempts   = 6
	firstPause = 200 * time.Millisecond
	// answerTime is how long one request may take, tries included; webhooks may take 30 seconds each.
	answerTime = 60 * time.Second
)

// retrier sends a request again where the server is busy, or where the connection broke after it
// had worked. All that we send may be repeated. Answers that say when to come back are left to
// client-go, which waits for that long.
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
		if n == attempts || !r.passing(n, resp, err) || !sleep(req.Context(), pause+rand.N(pause/2)) {
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

// passing tells what may be gone at the next try.
func (r *retrier) passing(n int, resp *http.Response, err error) bool {
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

// sleep says whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Each runs f for 0 to n-1, as many at once as a cluster is asked.
func Each(n int, f func(int)) {
	var g errgroup.Group
	g.SetLimit(inFlight)
	for i := range n {
		g.Go(func() error { f(i); return nil })
	}
	_ = g.Wait() // no f fails
}
