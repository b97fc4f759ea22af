package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// proxies are the registries in front of the sandbox's that scripts have made, by their host.
var proxies sync.Map

// proxy passes on to a registry, counts, and breaks what it is told to.
type proxy struct {
	to     string
	mu     sync.Mutex
	seen   []string
	faults []*fault
	once   sync.Once
	held   chan struct{} // closed once a request is held
}

// fault is what happens to the requests that match, the first times or always.
type fault struct {
	what  *regexp.Regexp // of "METHOD /path"
	how   string
	times int // -1: always
}

// cmdProxy is a registry of its own address that passes on to the sandbox's, or to another:
//
//	proxy start VARIABLE [HOST]              $VARIABLE is its 127.0.0.1:port, for image names and Dockerfiles
//	proxy fault HOST HOW REQUEST [TIMES]     what happens to requests "METHOD /path" that match the expression
//	proxy mend HOST                          breaks nothing any more
//	proxy requests HOST [REQUEST]            prints those made since the last time, and forgets them
//	proxy held HOST                          returns when a request is held
//
// HOW is a status (401, 403, 404, 429, 500, …; 429 with "Retry-After: 1"), truncate (the answer, or the
// upload that is passed on, loses its second half), corrupt (the answer has another first byte) or hold
// (no answer until the client goes away).
func cmdProxy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: proxy start|fault|mend|requests|held …")
	}
	if args[0] == "start" {
		p := &proxy{to: shared.Registry, held: make(chan struct{})}
		if len(args) > 2 {
			p.to = args[2]
		}
		s := httptest.NewServer(p)
		// Not Close: it waits for what is held.
		ts.Defer(func() { s.CloseClientConnections(); s.Listener.Close() })
		host := strings.TrimPrefix(s.URL, "http://")
		proxies.Store(host, p)
		ts.Setenv(args[1], host)
		return
	}
	found, ok := proxies.Load(args[1])
	if !ok {
		ts.Fatalf("no proxy at %s", args[1])
	}
	p := found.(*proxy)
	switch {
	case args[0] == "fault" && len(args) >= 4:
		f := &fault{what: regexp.MustCompile(args[3]), how: args[2], times: -1}
		if len(args) > 4 {
			n, err := strconv.Atoi(args[4])
			ts.Check(err)
			f.times = n
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, f)
	case args[0] == "requests":
		like := regexp.MustCompile(strings.Join(args[2:], " "))
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range p.seen {
			if like.MatchString(r) {
				fmt.Fprintln(ts.Stdout(), r)
			}
		}
		p.seen = nil
	case args[0] == "mend":
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = nil
	case args[0] == "held":
		<-p.held
	default:
		ts.Fatalf("proxy: unknown verb %s", args[0])
	}
}

// fault tells how a request is to be broken, if it is.
func (p *proxy) fault(request string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, request)
	for _, f := range p.faults {
		if f.times != 0 && f.what.MatchString(request) {
			f.times--
			return f.how
		}
	}
	return ""
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(&url.URL{Scheme: "http", Host: p.to})
	}}
	switch how := p.fault(r.Method + " " + r.URL.Path); how {
	case "":
	case "hold":
		p.once.Do(func() { close(p.held) })
		_, _ = io.Copy(io.Discard, r.Body) // who goes away is only noticed once all is read
		<-r.Context().Done()
		return
	case "truncate":
		truncate(to, r)
	case "corrupt":
		to.ModifyResponse = func(resp *http.Response) error {
			first := make([]byte, 1)
			if _, err := io.ReadFull(resp.Body, first); err != nil {
				return err
			}
			first[0] ^= 1
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader(string(first)), resp.Body), resp.Body}
			return nil
		}
	default:
		status, err := strconv.Atoi(how)
		if err != nil {
			panic(err)
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		http.Error(w, fmt.Sprintf(`{"errors":[{"code":"TESTED","message":"answers %d"}]}`, status), status)
		return
	}
	to.ServeHTTP(w, r)
}

// truncate lets only the first half of a body through: of the request where it has one, else of the answer.
func truncate(to *httputil.ReverseProxy, r *http.Request) {
	if r.Method != http.MethodGet {
		body, _ := io.ReadAll(r.Body) // less where the client has gone away
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(body[:len(body)/2]))), int64(len(body)/2)
		return
	}
	to.ModifyResponse = func(resp *http.Response) error {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		// The length stays as it was: the connection then breaks in the middle.
		resp.Body = io.NopCloser(strings.NewReader(string(body[:len(body)/2])))
		return nil
	}
}
