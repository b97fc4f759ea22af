package agent

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"slipway/internal/cluster/sandboxtest"
)

// asked is what an API server was asked.
type asked struct {
	mu    sync.Mutex
	times map[string]int
	grown chan struct{} // closed and replaced at each request
}

func newAsked() *asked { return &asked{times: map[string]int{}, grown: make(chan struct{})} }

var requestPath = regexp.MustCompile(`^/(?:api|apis/[^/]+)/[^/]+/(?:namespaces/[^/]+/)?([a-z]+)(/[^/]+)?$`)

// note counts a request as "LIST secrets" or "PATCH configmaps, dry run".
func (a *asked) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, verb := r.URL.Path, r.Method
		if m := requestPath.FindStringSubmatch(r.URL.Path); m != nil {
			if what = m[1]; m[2] == "" && verb == http.MethodGet {
				verb = "LIST"
			}
		}
		if r.URL.Query().Has("watch") {
			verb = "WATCH"
		}
		if r.URL.Query().Has("dryRun") {
			what += ", dry run"
		}
		a.mu.Lock()
		a.times[verb+" "+what]++
		close(a.grown)
		a.grown = make(chan struct{})
		a.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// take returns how often what was asked since the last time, once these requests were.
func (a *asked) take(t *testing.T, last map[string]int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		a.mu.Lock()
		grown, missing := a.grown, ""
		for what, n := range last {
			if a.times[what] < n {
				missing = what
			}
		}
		if missing == "" {
			taken := a.times
			a.times = map[string]int{}
			a.mu.Unlock()
			return taken
		}
		a.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("never asked: %s", missing)
		}
	}
}

// bounds are how often something is asked at least and at most.
type bounds struct{ least, most int }

func compareAsked(t *testing.T, when string, got map[string]int, want map[string]bounds, most int) {
	t.Helper()
	sum := 0
	for what, n := range got {
		sum += n
		if b := want[what]; n > b.most {
			t.Errorf("%s: %d times %s, want at most %d", when, n, what, b.most)
		}
	}
	for what, b := range want {
		if got[what] < b.least {
			t.Errorf("%s: %d times %s, want at least %d", when, got[what], what, b.least)
		}
	}
	if sum > most {
		t.Errorf("%s: %d requests, want at most %d: %v", when, sum, most, got)
	}
}

// Each request of an environment is one that it cannot do without.
func TestPassRequests(t *testing.T) {
	t.Parallel()
	p, r, a := sandboxtest.NewPlace(t), newRepository(t), newAsked()
	r.write("slipway.yaml", fmt.Sprintf("project: %s\nenvironments:\n"+
		"  prod: {path: k8s, class: local, namespace: %s}\n", p.Namespace, p.Namespace))
	r.write("k8s/all.yaml", fourObjects)
	r.push()
	running := start(t, sandboxtest.Through(t, a.note), fmt.Sprintf("repositories:\n- url: %s\n  interval: 1h\n"+
		"  environments:\n    prod: {context: proxy, onDrift: repair}\n", r.url),
		func(a *Agent) { a.recent = time.Hour })
	one := bounds{1, 1}
	got := a.take(t, map[string]int{
		"POST events": 2, "WATCH configmaps": 1, "WATCH services": 1, "WATCH secrets": 1, "WATCH deployments": 1,
	})
	compareAsked(t, "first deploy", got, map[string]bounds{
		"GET /api": one, "GET /apis": one, // where each kind is served; environments share the answers
		"POST leases": {2, 2}, "PUT leases": {1, 2}, // the claim, and the lock
		// The record, that of a namespace before, the record under the lock, and its versions for the watch.
		"LIST secrets": {4, 4},
		// The objects as they are, before and after.
		"GET configmaps": {4, 4}, "GET services": {2, 2}, "GET deployments": {2, 3},
		"PATCH configmaps, dry run": {2, 2}, "PATCH services, dry run": one, "PATCH deployments, dry run": one,
		"POST events":                  {2, 2},                  // that it is deployed, and that it was
		"POST selfsubjectrulesreviews": one,                     // whether records and Leases may be written
		"POST secrets":                 one, "PUT secrets": one, // the release begins and ends
		"PATCH configmaps": {2, 2}, "PATCH services": one, "PATCH deployments": one,
		// The rollout, and how far it is in its first moments.
		"LIST deployments": {1, 2}, "WATCH deployments": {1, 2}, "LIST pods": {0, 1}, "LIST replicasets": {0, 1},
		// From then on changes are told.
		"LIST configmaps": one, "LIST services": one,
		"WATCH configmaps": one, "WATCH services": one, "WATCH secrets": one,
	}, 43)

	r.write("k8s/all.yaml", "# a comment\n"+fourObjects)
	r.push()
	running.followers()[0].mirror.remote.poke <- struct{}{}
	got = a.take(t, map[string]int{"POST events": 1})
	compareAsked(t, "a commit that changes nothing", got, map[string]bounds{
		"GET configmaps": {2, 2}, "GET services": one, "GET deployments": one, // as they are
		"POST events": one, // that this commit has the same objects
		// A late event of a watch may cost one look at the record, and a watch of the Deployment.
		"LIST secrets":      {0, 1},
		"WATCH deployments": {0, 1}, // of the first deploy
	}, 7)
}

const fourObjects = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 0
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: "ghcr.io/acme/app:v1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app-1}
data: {LEVEL: info}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app-2}
data: {LEVEL: info}
`
