package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/release"
)

const (
	// settling is how long changes are collected before browsers are told: a rollout changes many objects.
	settling = 200 * time.Millisecond
	// slowPoll is how often the source and the pauses are compared, which nothing announces.
	slowPoll = 3 * time.Second
	// heartbeat keeps proxies from closing a stream.
	heartbeat = 15 * time.Second
)

// hub tells browsers that something has changed. It watches clusters while somebody listens.
type hub struct {
	mu      sync.Mutex
	clients map[chan string]bool
	stop    context.CancelFunc
	last    map[string]time.Time // when each topic has changed
}

// listen adds a browser, and begins to watch for the first one. The caller calls leave.
func (h *hub) listen(ctx context.Context, watch func(context.Context)) (news chan string, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients == nil {
		h.clients = map[chan string]bool{}
	}
	news = make(chan string, 64)
	h.clients[news] = true
	if h.stop == nil {
		var watching context.Context
		watching, h.stop = context.WithCancel(context.WithoutCancel(ctx))
		go watch(watching)
	}
	return news, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.clients, news); len(h.clients) == 0 {
			h.stop()
			h.stop = nil
		}
	}
}

// tell announces a change of a topic: "myapp/prod", or "myapp" for the source of all its environments. A
// browser that does not keep up misses nothing: it asks for the whole page then.
func (h *hub) tell(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last = map[string]time.Time{}
	}
	h.last[topic] = time.Now()
	for c := range h.clients {
		select {
		case c <- topic:
		default:
		}
	}
}

// lastOf returns when a topic has changed; zero: not since a browser listens.
func (h *hub) lastOf(topic string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last[topic]
}

// serveEvents is the stream of one browser.
func (s *Site) serveEvents(w http.ResponseWriter, r *http.Request) {
	news, leave := s.hub.listen(r.Context(), s.watch)
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	fmt.Fprint(w, "retry: 2000\n\n: Slipway\n\n")
	for stream.Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case topic := <-news:
			if !s.concerns(r, topic) {
				continue
			}
			fmt.Fprintf(w, "event: change\ndata: %s\n\n", topic)
		case <-beat.C:
			fmt.Fprint(w, ": \n\n")
		}
	}
}

// concerns says that the person behind a request may see what a topic is about.
func (s *Site) concerns(r *http.Request, topic string) bool {
	name, environment, isOne := strings.Cut(topic, "/")
	src, err := s.source(r.Context(), name)
	if err != nil {
		return false
	}
	src, _ = s.visible(r.Context(), src)
	return slices.ContainsFunc(src.Project.Environments, func(e project.Environment) bool {
		return !isOne || e.Name == environment
	})
}

// watch follows the sources and all their environments until the context ends.
func (s *Site) watch(ctx context.Context) {
	tick := time.NewTicker(slowPoll)
	defer tick.Stop()
	states, followed := map[string]string{}, map[string]bool{}
	for {
		sources, _ := s.options.Sources(ctx) // the board says which cannot be read
		for _, src := range sources {
			s.follow(ctx, src, followed)
			state := src.Commit + " " + src.Tag
			if was, ok := states[src.Project.Name]; ok && was != state {
				s.hub.tell(src.Project.Name)
			}
			states[src.Project.Name] = state
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// follow begins to follow those environments of a source that are not followed yet.
func (s *Site) follow(ctx context.Context, src project.Source, followed map[string]bool) {
	for _, env := range src.Project.Environments {
		topic := src.Project.Name + "/" + env.Name
		if followed[topic] {
			continue
		}
		if t, err := s.options.Connect(src, env); err == nil {
			followed[topic] = true
			go s.followEnvironment(ctx, t, topic)
		}
	}
}

// followEnvironment announces changes of the objects, the releases and the pauses of an environment.
func (s *Site) followEnvironment(ctx context.Context, t deploy.Target, topic string) {
	seen := ""
	for ctx.Err() == nil {
		past, err := s.pastOf(ctx, t)
		if err != nil {
			if !cluster.Sleep(ctx, slowPoll) {
				return
			}
			continue
		}
		if now := summaryOf(past); seen != "" && now != seen {
			s.hub.tell(topic)
			seen = now
		} else {
			seen = now
		}
		s.followRelease(ctx, t, past, topic)
	}
}

// summaryOf changes with anything that is recorded.
func summaryOf(p release.Past) string {
	text := fmt.Sprint(p.Pauses)
	for _, r := range p.Releases {
		text += fmt.Sprint(r.Revision, r.Status, r.Held())
	}
	return text
}

// followRelease announces changes of the objects of a release, until the record may have changed: its lock
// comes and goes with each deploy.
func (s *Site) followRelease(ctx context.Context, t deploy.Target, past release.Past, topic string) {
	lock := t.Records().LockRef()
	w := cluster.Watch(ctx, t.Cluster, append(past.Latest.Objects.Refs(), lock), past.Latest.Objects.Objects())
	w.Moved()
	w.Follow(ctx)
	defer w.Stop()
	poll := time.NewTicker(slowPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			if now, err := s.pastOf(ctx, t); err == nil && summaryOf(now) != summaryOf(past) {
				return
			}
		case <-w.Changed():
			if !cluster.Sleep(ctx, settling) {
				return
			}
			for _, ref := range w.Moved() {
				if ref == lock {
					s.hub.tell(topic)
					return
				}
			}
			s.hub.tell(topic)
		}
	}
}
