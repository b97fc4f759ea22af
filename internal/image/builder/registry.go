package builder

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"slipway/internal/image/reference"
)

// PlainHTTP tells whether a registry host ("127.0.0.1:5000") is reached without TLS: this machine under any
// of its names. Docker and containerd have the same rule.
func PlainHTTP(host string) bool {
	name := hostname(host)
	if name == "localhost" || localName(name) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// Transport returns a transport to registries. It resolves *.localhost to this machine (RFC 6761), which Go's
// own resolver does not, and never sends those names to a proxy.
func Transport() *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if PlainHTTP(r.URL.Host) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		// A custom dialer also turns off HTTP/2, whose flow control makes large pushes slow
		// (golang/go#14077).
		DialContext:           dial,
		MaxIdleConns:          30,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       2 * time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 5 * time.Second,
	}
}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: time.Minute}
	host, port, err := net.SplitHostPort(addr)
	if err == nil && localName(host) {
		addr = net.JoinHostPort("localhost", port)
	}
	return d.DialContext(ctx, network, addr)
}

func localName(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(strings.ToLower(name), "."), ".localhost")
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// registryOf is the host of a repository: "ghcr.io" of "ghcr.io/acme/myapp", "docker.io" of "acme/myapp".
func registryOf(repository string) string {
	return cmp.Or(reference.Host(repository), "docker.io")
}

// localhost replaces *.localhost by localhost, for builders that cannot resolve such names.
func localhost(repository string) string {
	host := registryOf(repository)
	if !localName(hostname(host)) {
		return repository
	}
	rest := strings.TrimPrefix(repository, host)
	if _, port, err := net.SplitHostPort(host); err == nil {
		return "localhost:" + port + rest
	}
	return "localhost" + rest
}
