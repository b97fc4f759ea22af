package cluster

import (
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// dateStep is how exact a Date header is.
	dateStep = time.Second
	// maxRead is how long an answer may take that tells the time.
	maxRead = 2 * time.Second
	// minSkew is the smallest difference of two clocks that is told from what reading them costs.
	minSkew = 5 * time.Second
)

// clock reads the time of an API server from the Date of its answers.
type clock struct {
	next http.RoundTripper
	last atomic.Pointer[shownTime]
}

// shownTime is what a server's clock showed. The time between two readings is that of this machine's
// monotonic clock, which goes on while its wall clock is set.
type shownTime struct{ shown, at time.Time }

// RoundTrip implements http.RoundTripper.
func (c *clock) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	took := time.Since(began)
	if shown, err := http.ParseTime(resp.Header.Get("Date")); err == nil && took < maxRead {
		c.last.Store(&shownTime{shown.Add(dateStep / 2), began.Add(took / 2)})
	}
	return resp, err
}

// Now is the time by the clock of the API server, as its last answer told it: all who use the server share
// it. It is that of this machine where the two agree within a few seconds, or no answer came yet.
func (l *link) Now() time.Time {
	own, last := time.Now(), l.clock.last.Load()
	if last == nil {
		return own
	}
	theirs := last.shown.Add(own.Sub(last.at))
	if theirs.Sub(own.Round(0)).Abs() < minSkew { // Round drops the monotonic reading
		return own
	}
	return theirs
}

// Skew is how far the clock of the API server is ahead of this machine's; 0: they agree within a few seconds.
func (l *link) Skew() time.Duration {
	now := l.Now()
	if skew := now.Round(0).Sub(time.Now().Round(0)); skew.Abs() >= minSkew/2 {
		return skew.Round(time.Second)
	}
	return 0
}
