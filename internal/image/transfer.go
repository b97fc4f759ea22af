package image

import (
	"context"
	"io"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"
)

// Transfer says how far the copy of an image is. Layers that the target has already do not count; Total grows
// while further ones begin.
type Transfer struct {
	Reference   string
	Done, Total int64 // bytes
	Remind      bool  // nothing with Remind was sent for remindAfter
	Ended       bool
}

const (
	// drawEvery is how often a transfer is told: as often as an eye can follow.
	drawEvery = 100 * time.Millisecond
	// remindAfter is how long a log may say nothing. Some CI systems cancel a job without output.
	remindAfter = 15 * time.Second
)

// meter counts the bytes of the blobs that are read in a context.
type meter struct{ done, total atomic.Int64 }

type meterKey struct{}

// measure tells how far a copy is until the function that it returns is called. The requests of the copy are
// those with the context that it returns.
func measure(ctx context.Context, reference string, tell func(Transfer)) (context.Context, func()) {
	if tell == nil {
		return ctx, func() {}
	}
	m := &meter{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	now := func() Transfer {
		return Transfer{Reference: reference, Done: m.done.Load(), Total: m.total.Load()}
	}
	go func() {
		defer close(stopped)
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for reminded := time.Now(); ; {
			select {
			case at := <-tick.C:
				t := now()
				if t.Remind = at.Sub(reminded) >= remindAfter; t.Remind {
					reminded = at
				}
				if t.Total > 0 {
					tell(t)
				}
			case <-stop:
				t := now()
				t.Ended = true
				tell(t)
				return
			}
		}
	}()
	return context.WithValue(ctx, meterKey{}, m), func() { close(stop); <-stopped }
}

// metered counts the content of blobs where the request's context has a meter.
type metered struct{ next http.RoundTripper }

func (t metered) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	m, ok := r.Context().Value(meterKey{}).(*meter)
	first := r // registries redirect to the address of a blob
	for first.Response != nil {
		first = first.Response.Request
	}
	isBlob := r.Method == http.MethodGet && strings.HasSuffix(path.Dir(first.URL.Path), "/blobs")
	if err != nil || !ok || !isBlob || resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return resp, err
	}
	m.total.Add(resp.ContentLength)
	resp.Body = &meteredBody{resp.Body, m}
	return resp, nil
}

type meteredBody struct {
	io.ReadCloser
	m *meter
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.m.done.Add(int64(n))
	return n, err
}
