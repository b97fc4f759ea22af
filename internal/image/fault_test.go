package image

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// answers stands for a registry that puts a request off so often, with that header.
type answers struct {
	times int
	after string
	asked int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status := http.StatusOK
	if a.asked++; a.asked <= a.times {
		status = http.StatusTooManyRequests
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {a.after}}, Body: http.NoBody,
		Request: r}, nil
}

func TestRateLimits(t *testing.T) {
	for name, c := range map[string]struct {
		answers
		asked       int
		waited, ask time.Duration
		gives       bool
	}{
		"once, for three seconds": {answers: answers{times: 1, after: "3"}, asked: 2,
			waited: 3 * time.Second, gives: true},
		"twice, without a word": {answers: answers{times: 2}, asked: 3, waited: 3 * time.Second, gives: true},
		"for ever": {answers: answers{times: 99, after: "2"}, asked: maxTries,
			waited: 6 * time.Second, ask: 2 * time.Second},
		"for hours": {answers: answers{times: 99, after: "21600"}, asked: 1, ask: 6 * time.Hour},
		"longer than all waits may": {answers: answers{times: 99, after: "40"}, asked: 2, waited: 40 * time.Second,
			ask: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := 0
				p := &patient{next: &c.answers, notify: func(string, ...any) { said++ }}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.test/v2/", nil)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				resp, err := p.RoundTrip(r)
				if resp != nil {
					defer resp.Body.Close()
				}
				limited := (*RateLimitedError)(nil)
				if errors.As(err, &limited) == c.gives || c.gives && resp == nil {
					t.Fatalf("%v", err)
				}
				if !c.gives && (limited.Wait != c.ask || limited.Registry != "registry.test") {
					t.Errorf("%+v", limited)
				}
				if got := fmt.Sprint(c.answers.asked, time.Since(start), said); got != fmt.Sprint(c.asked,
					c.waited, c.asked-1) {
					t.Errorf("asked, waited, said: %s", got)
				}
			})
		})
	}
}

func TestRetryAfterIsADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)
		for header, want := range map[string]time.Duration{at: 7 * time.Second, "": 0, "soon": 0, "-3": 0} {
			if got := retryAfter(header); got != want {
				t.Errorf("%q: %s, want %s", header, got, want)
			}
		}
	})
}
