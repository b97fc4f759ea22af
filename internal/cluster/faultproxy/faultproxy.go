// Package faultproxy breaks some requests to an API server on purpose. It is for tests alone.
package faultproxy

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy breaks requests at random, as its seed decides. Of two runs with one seed, the same requests break.
type Proxy struct {
	// Seed chooses the requests and what happens to them.
	Seed uint64
	// Rate is the part of the requests that break: 0.2 is a fifth.
	Rate float64
	// Stall is how long a stalled request waits before it is passed on.
	Stall time.Duration
	// Only are the faults that happen; none: all. Done has their names.
	Only []string

	off  atomic.Bool
	mu   sync.Mutex
	seen map[string]uint64
	done map[string]int
}

// A fault is what happens to a request instead of its answer, or on the way.
const (
	busy        = "429"
	internal    = "500"
	unavailable = "503"
	conflict    = "409"
	gone        = "410"
	resetBefore = "reset before the server has it"
	resetAfter  = "reset after the server has answered"
	half        = "half an answer"
	stall       = "stall"
	dropped     = "dropped watch"
)

// Mend passes all requests on; Break goes on to break some.
func (p *Proxy) Mend() { p.off.Store(true) }

// Break ends Mend.
func (p *Proxy) Break() { p.off.Store(false) }

// Done returns what happened to requests, and how often.
func (p *Proxy) Done() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprint(p.done)
}

// Wrap returns a handler that passes requests on to another one.
func (p *Proxy) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p.off.Load() {
			next.ServeHTTP(rw, r)
			return
		}
		p.serve(rw, r, next)
	})
}

func (p *Proxy) serve(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	fault, random := p.fate(r)
	switch fault {
	case busy:
		rw.Header().Set("Retry-After", "1")
		refuse(rw, http.StatusTooManyRequests, "TooManyRequests")
	case internal:
		refuse(rw, http.StatusInternalServerError, "InternalError")
	case unavailable:
		refuse(rw, http.StatusServiceUnavailable, "ServiceUnavailable")
	case conflict:
		refuse(rw, http.StatusConflict, "Conflict")
	case gone:
		refuse(rw, http.StatusGone, "Expired")
	case resetBefore:
		reset(rw)
	case resetAfter:
		next.ServeHTTP(&lost{header: http.Header{}}, r)
		reset(rw)
	case half:
		answer := &lost{header: http.Header{}}
		next.ServeHTTP(answer, r)
		for k, v := range answer.header {
			rw.Header()[k] = v
		}
		rw.Header().Set("Content-Length", strconv.Itoa(len(answer.body)+1))
		rw.WriteHeader(answer.status)
		_, _ = rw.Write(answer.body[:len(answer.body)/2])
		panic(http.ErrAbortHandler)
	case stall:
		body, _ := io.ReadAll(r.Body) // the server only notices that the client is gone once all is read
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-time.After(p.Stall):
		}
		next.ServeHTTP(rw, r)
	case dropped:
		after := time.Duration(random % uint64(2*time.Second))
		next.ServeHTTP(&brief{ResponseWriter: rw, until: time.Now().Add(after)}, r)
	default:
		next.ServeHTTP(rw, r)
	}
}

// random names of a run: namespaces of tests, pods, generated names.
var names = regexp.MustCompile(`(namespaces|pods|replicasets)/[^/?]+|uid%3D[^&]+|[0-9a-f]{8}-test`)

// fate decides about a request by its seed, what it is, and how many like it there were: the order in which
// concurrent requests arrive does not matter.
func (p *Proxy) fate(r *http.Request) (fault string, random uint64) {
	key := r.Method + " " + names.ReplaceAllString(r.URL.RequestURI(), "$1")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen, p.done = map[string]uint64{}, map[string]int{}
	}
	p.seen[key]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", key, p.seen[key])
	source := rand.New(rand.NewPCG(p.Seed, h.Sum64()))
	if source.Float64() >= p.Rate {
		return "", 0
	}
	faults := slices.DeleteFunc(faultsOf(r), func(fault string) bool {
		return len(p.Only) > 0 && !slices.Contains(p.Only, fault)
	})
	if len(faults) == 0 {
		return "", 0
	}
	fault = faults[source.IntN(len(faults))]
	p.done[fault]++
	return fault, source.Uint64()
}

// faultsOf returns what may happen to a request.
func faultsOf(r *http.Request) []string {
	faults := []string{busy, internal, unavailable, resetBefore, stall}
	if isWatch(r) {
		return append(faults, gone, dropped, dropped)
	}
	faults = append(faults, resetAfter, half)
	if r.Method != http.MethodGet {
		return append(faults, conflict)
	}
	return append(faults, gone)
}

func isWatch(r *http.Request) bool {
	watch, _ := strconv.ParseBool(r.URL.Query().Get("watch"))
	return watch
}

// IsWrite says that a request changes what the API server keeps.
func IsWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !r.URL.Query().Has("dryRun") && !strings.Contains(r.URL.Path, "reviews")
}

func refuse(rw http.ResponseWriter, code int, reason string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(code)
	fmt.Fprintf(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":`+
		`"the test refuses this request"}`, reason, code)
}

// reset breaks the connection of a request.
func reset(rw http.ResponseWriter) {
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// lost keeps an answer that does not reach the client as it is.
type lost struct {
	header http.Header
	status int
	body   []byte
}

func (l *lost) Header() http.Header { return l.header }

func (l *lost) WriteHeader(status int) { l.status = status }

func (l *lost) Write(p []byte) (int, error) {
	if l.status == 0 {
		l.status = http.StatusOK
	}
	l.body = append(l.body, p...)
	return len(p), nil
}

// brief is an answer that breaks off after a while.
type brief struct {
	http.ResponseWriter
	until time.Time
}

func (b *brief) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *brief) Write(p []byte) (int, error) {
	if time.Now().After(b.until) {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}
