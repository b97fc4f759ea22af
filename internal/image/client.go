package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway/internal/image/builder"
)

// Client reaches registries during one run. It keeps connections and logins, and fetches each manifest once.
type Client struct {
	transport http.RoundTripper
	puller    *remote.Puller
	pusher    *remote.Pusher
}

// NewClient returns a client, and sends nothing. notify is told when a registry asks to wait; it may be nil.
func NewClient(notify func(text string)) *Client {
	t := builder.Transport()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return conn{c}, err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		if notify != nil {
			mu.Lock()
			defer mu.Unlock()
			notify(fmt.Sprintf(format, args...))
		}
	}
	c := &Client{transport: metered{&memory{
		next:  &patient{next: onlyTLS{t}, notify: say},
		known: map[string]answer{},
	}}}
	options := []remote.Option{
		remote.WithTransport(c.transport), remote.WithAuthFromKeychain(logins{}), remote.WithJobs(jobs),
		remote.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
		remote.WithRetryPredicate(isTransient),
	}
	var err error
	if c.puller, err = remote.NewPuller(options...); err == nil {
		c.pusher, err = remote.NewPusher(options...)
	}
	if err != nil {
		panic(err) // the options contradict each other
	}
	return c
}

// options make go-containerregistry's functions use the client.
func (c *Client) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.Reuse(c.puller), remote.Reuse(c.pusher)}
}

// memory answers a GET of a manifest that was read before, by its digest or by the same tag: one run gets one
// answer. HEAD always asks the registry: a tag must be free before it is written, and content must still
// exist.
type memory struct {
	next  http.RoundTripper
	mu    sync.Mutex
	known map[string]answer // by host and path
}

type answer struct {
	header http.Header
	body   []byte
}

// maxManifest bounds what is kept of one manifest. Registries accept 4 MB.
const maxManifest = 4 << 20

func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	dir, ref := path.Split(r.URL.Path)
	if r.Method == http.MethodHead || !strings.HasSuffix(dir, "/manifests/") {
		return m.next.RoundTrip(r)
	}
	if r.Method != http.MethodGet { // the tag is about to change
		m.mu.Lock()
		delete(m.known, r.URL.Host+r.URL.Path)
		m.mu.Unlock()
		return m.next.RoundTrip(r)
	}
	m.mu.Lock()
	a, ok := m.known[r.URL.Host+r.URL.Path]
	m.mu.Unlock()
	if ok {
		return &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: a.header.Clone(), ContentLength: int64(len(a.body)),
			Body: io.NopCloser(bytes.NewReader(a.body)), Request: r,
		}, nil
	}
	resp, err := m.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	if err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if isDigest := strings.Contains(ref, ":"); len(body) < maxManifest && (!isDigest || digest == ref) {
		m.mu.Lock()
		for _, name := range []string{ref, digest} {
			m.known[r.URL.Host+dir+name] = answer{resp.Header, body}
		}
		m.mu.Unlock()
	}
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return resp, nil
}
