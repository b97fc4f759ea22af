package rollout

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"slipway/internal/object"
)

// asked are the requests for Deployments: "get", "list" and "watch".
type asked struct {
	mu     sync.Mutex
	counts map[string]int
}

func (a *asked) note(r *http.Request) string {
	_, rest, ok := strings.Cut(r.URL.Path, "/deployments")
	verb := "get"
	switch {
	case !ok || r.Method != http.MethodGet:
		return ""
	case r.URL.Query().Has("watch"):
		verb = "watch"
	case rest == "":
		verb = "list"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	a.counts[verb]++
	return verb
}

func (a *asked) of(verb string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[verb]
}

// several are Deployments whose pods take a second to become ready.
func several(t *testing.T, p place, n int) object.Set {
	var text strings.Builder
	for i := range n {
		text.WriteString("---\n" + deployment("app-"+string(rune('a'+i)), "slow=1s", probe, ""))
	}
	return p.Parse(t, text.String())
}

// A wait asks once, and watches from then on: one watch for the Deployments of a namespace.
func TestWaitWatches(t *testing.T) {
	t.Parallel()
	p, log := newPlace(t), &asked{}
	c := through(t, p.Namespace, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.note(r)
			next.ServeHTTP(w, r)
		})
	})
	set := several(t, p, 4)
	apply(t, p.editor, set)
	if err := Wait(t.Context(), c, set, Options{Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	// A watch is opened again after a while, where the machine is busy.
	if log.of("get") > 0 || log.of("list") != 1 || log.of("watch") == 0 {
		t.Errorf("requests: %v", log.counts)
	}
}

// A watch that breaks, or cannot be continued, is begun again. What changed meanwhile is seen.
func TestWatchBreaks(t *testing.T) {
	t.Parallel()
	p, log := newPlace(t), &asked{}
	var watches atomic.Int64
	c := through(t, p.Namespace, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if log.note(r) != "watch" {
				next.ServeHTTP(w, r)
				return
			}
			switch n := watches.Add(1); {
			case n%3 == 1:
				panic(http.ErrAbortHandler)
			case n%3 == 2:
				http.Error(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}`,
					http.StatusGone)
			default: // an error in the stream
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "code": 410}}`))
			}
		})
	})
	set := p.Parse(t, deployment("api", "slow=6s", probe, ""))
	apply(t, p.editor, set)
	if err := Wait(t.Context(), c, set, Options{Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	if watches.Load() < 3 || log.of("list") < 3 {
		t.Errorf("requests: %v", log.counts)
	}
}
