package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/internal/words"
)

const (
	// inFlight bounds the concurrent requests of one operation. A server that is busy says so, and is obeyed.
	inFlight = 16

	// firstPause doubles up to longestPause.
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second

	// outageTime is how long the server may be away: the lock of a deploy lasts that long without an answer.
	outageTime = 2 * time.Minute
	// firstOutageTime is the same before the first final answer: the cluster may not run at all, and a proxy
	// before it answer for it.
	firstOutageTime = 20 * time.Second
	// busyTime is how long it may turn down one request while it answers others: an extension API may be down
	// for good.
	busyTime = 20 * time.Second
	// remarkAfter is how long a request may take before the user is told.
	remarkAfter = 5 * time.Second

	// answerTime bounds one try. A webhook may take 30 seconds.
	answerTime = 60 * time.Second
	// After readPatience or writePatience without an answer, the request is sent once more beside the first
	// one, because the connection may be dead; then after twice as long, up to maxBeside in all. Where a
	// webhook takes that long, the first answer comes as soon as without.
	readPatience  = 2 * time.Second
	writePatience = 4 * time.Second
	maxBeside     = 4
)

// retrier repeats requests whose answer is transient, within the bounds above. Nothing else does.
// client-go would wait for each Retry-After without a word, and repeat reads of broken connections: it only
// sees the final answer.
type retrier struct {
	next http.RoundTripper
	// say tells the user that the server is away, and that it is back. It may be nil.
	say func(text string)
	// count is Options.Count.
	count func(method string, status int)

	answered  atomic.Bool  // until the first answer, the address may be wrong
	answersAt atomic.Int64 // when the server last gave a final answer, in nanoseconds since 1970; 0: never
	told      atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.GetBody == nil || isProxied(req) {
		if err := fenced(req); err != nil {
			return nil, err
		}
		return r.next.RoundTrip(req)
	}
	if req.Body != nil {
		defer req.Body.Close() // each try has a body of its own
	}
	began, seen := time.Now(), map[string]int{}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		resp, err := r.ask(req)
		t := transientOf(req, resp, err, r.answered.Load())
		if err == nil {
			r.answered.Store(true)
		}
		if t == nil {
			r.settle(err)
			return resp, err
		}
		seen[t.what]++
		wait := max(t.wait, pause+rand.N(pause/2))
		if t.tries > 0 && seen[t.what] >= t.tries || time.Since(began)+wait > r.patience(t, began) {
			return given(resp, err, time.Since(began))
		}
		if r.say != nil && time.Since(began)+wait > remarkAfter && !r.told.Swap(true) {
			r.say(fmt.Sprintf("%s: retrying for up to %s", t.what, words.Duration(r.patience(t, began))))
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		if !Sleep(req.Context(), wait) {
			return nil, context.Cause(req.Context())
		}
	}
}

// patience returns for how long a request that began then is repeated.
func (r *retrier) patience(t *transient, began time.Time) time.Duration {
	switch {
	case r.answersAt.Load() == 0:
		return firstOutageTime
	case !t.silent && r.answersAt.Load() > began.UnixNano():
		return busyTime
	}
	return outageTime
}

// settle notes a final answer.
func (r *retrier) settle(err error) {
	if err != nil {
		return
	}
	r.answersAt.Store(time.Now().UnixNano())
	if r.told.Swap(false) {
		r.say("answers again")
	}
}

// given is an answer that stands after all. It no longer asks client-go to repeat the request.
func given(resp *http.Response, err error, after time.Duration) (*http.Response, error) {
	if err != nil {
		return nil, fmt.Errorf("tried for %s: %w", words.Duration(after.Round(time.Second)), &unansweredError{err})
	}
	resp.Header.Del("Retry-After")
	return resp, nil
}

// unansweredError hides from client-go that an error is of a broken connection: it would begin anew.
type unansweredError struct{ err error }

func (e *unansweredError) Error() string {
	return strings.ReplaceAll(e.err.Error(), "connection reset by peer", "connection reset")
}

// errSilent says that nothing came back in answerTime.
var errSilent = errors.New("no answer in " + answerTime.String())

// answer is what became of one try.
type answer struct {
	try  int
	resp *http.Response
	err  error
}

// ask sends a request, and once more beside it whenever nothing came back for a while. The first answer
// counts.
func (r *retrier) ask(req *http.Request) (*http.Response, error) {
	patience := writePatience
	if req.Method == http.MethodGet {
		patience = readPatience
	}
	var cancels []context.CancelFunc
	answers := make(chan answer, maxBeside)
	send := func() {
		ctx, cancel := context.WithCancel(req.Context())
		try := len(cancels)
		cancels = append(cancels, cancel)
		go func() {
			resp, err := r.try(req.Clone(ctx))
			answers <- answer{try, resp, err}
		}()
	}
	stop := func(except int) {
		for i, cancel := range cancels {
			if i != except {
				cancel()
			}
		}
	}
	end, next := time.NewTimer(answerTime), time.NewTimer(patience)
	defer end.Stop()
	defer next.Stop()
	send()
	for {
		select {
		case a := <-answers:
			if a.err != nil || !isStream(req) {
				stop(-1)
				return a.resp, a.err
			}
			stop(a.try)
			a.resp.Body = &stream{a.resp.Body, cancels[a.try]}
			return a.resp, nil
		case <-next.C:
			send()
			if patience *= 2; len(cancels) < maxBeside {
				next.Reset(patience)
			}
		case <-end.C:
			stop(-1)
			return nil, errSilent
		}
	}
}

// try sends a request once, and reads the whole answer: a connection may break in the middle of it.
func (r *retrier) try(req *http.Request) (*http.Response, error) {
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	if err := fenced(req); err != nil {
		return nil, err
	}
	resp, err := r.next.RoundTrip(req)
	if r.count != nil {
		status := 0
		if err == nil {
			status = resp.StatusCode
		}
		r.count(req.Method, status)
	}
	if err != nil || isStream(req) && resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// stream is the body of an answer that goes on.
type stream struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (s *stream) Close() error {
	defer s.cancel()
	return s.ReadCloser.Close()
}

// Sleep waits. It returns false when the context ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
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
