package cluster

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// tried are the resources that dry runs were sent for.
type tried struct {
	mu    sync.Mutex
	names []string
}

func (l *tried) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("dryRun") {
			l.mu.Lock()
			l.names = append(l.names, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
			l.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// take returns the names since the last time, sorted.
func (l *tried) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.names)
	names := slices.Compact(l.names)
	l.names = nil
	return strings.Join(names, " ")
}

const settling = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {a: b}}, data: {LEVEL: info}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {LEVEL: info}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {LEVEL: info}}
---
{apiVersion: v1, kind: Secret, metadata: {name: secret}, stringData: {PASSWORD: hunter22}}
---
{apiVersion: v1, kind: Service, metadata: {name: service}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: api, image: $IMAGE, resources: {limits: {cpu: 1000m}}}]}
`

// settle applies a set, and returns the fingerprints of what is verified.
func settle(t *testing.T, c *Cluster, set object.Set) map[object.Ref]string {
	t.Helper()
	apply(t, c, set)
	var sent []Sent
	for _, o := range set.Objects() {
		sent = append(sent, Sent{Object: o, Source: o})
	}
	verified, err := Verify(t.Context(), c, set, sent)
	if err != nil {
		t.Fatal(err)
	}
	prints := map[object.Ref]string{}
	for i, v := range verified {
		if v.Fingerprint == "" {
			t.Errorf("%s has no fingerprint: lost %v", sent[i].Object.Ref(), v.Lost)
		}
		prints[sent[i].Object.Ref()] = v.Fingerprint
	}
	return prints
}

// No dry run is sent for an object that has not changed since its apply was verified, and one for each that
// has, after any change by any manager. The plan is the one that dry runs of all would make.
func TestKnown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, p place)
		tried  string
	}{
		{"nothing", func(*testing.T, place) {}, ""},
		{"the status", func(t *testing.T, p place) {
			patch(t, p, "apps/v1 Deployment web", "kube-controller-manager", `{"status": {"replicas": 3}}`, "status")
		}, ""},
		{"a value", func(t *testing.T, p place) {
			patch(t, p, "v1 ConfigMap one", "kubectl-edit", `{"data": {"LEVEL": "debug"}}`)
		}, "one"},
		{"there and back", func(t *testing.T, p place) {
			patch(t, p, "v1 ConfigMap one", "kubectl-edit", `{"data": {"LEVEL": "debug"}}`)
			patch(t, p, "v1 ConfigMap one", "kubectl-edit", `{"data": {"LEVEL": "info"}}`)
		}, "one"},
		{"a field that the source does not have", func(t *testing.T, p place) {
			patch(t, p, "v1 Service service", "kubectl-edit", `{"spec": {"sessionAffinity": "ClientIP"}}`)
		}, "service"},
		{"a controller's annotation", func(t *testing.T, p place) {
			patch(t, p, "v1 Secret secret", "some-controller", `{"metadata": {"annotations": {"a": "b"}}}`)
		}, "secret"},
		{"the scale", func(t *testing.T, p place) {
			patch(t, p, "apps/v1 Deployment web", "kubectl", `{"spec": {"replicas": 2}}`, "scale")
		}, "web"},
		{"a new object of the name", func(t *testing.T, p place) {
			ref := object.Ref{Kind: "ConfigMap", Namespace: p.Namespace, Name: "two"}
			if err := p.admin.Delete(t.Context(), ref, ""); err != nil {
				t.Fatal(err)
			}
			apply(t, p.editor, p.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {LEVEL: info}}`))
		}, "two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, log := newPlace(t), &tried{}
			set := p.Parse(t, settling)
			prints := settle(t, p.editor, set)
			test.change(t, p)
			c := through(t, p.Namespace, log.wrap)
			known := ObserveOptions{Owned: set.Refs(), Settled: prints}
			short := planOf(t, c, set, known)
			if got := log.take(); got != test.tried {
				t.Errorf("dry runs of %q, not %q", got, test.tried)
			}
			if long := planOf(t, c, set, ObserveOptions{Owned: set.Refs()}); !short.Equal(long) {
				t.Errorf("with what is known: %v\nwithout: %v", summary(short), summary(long))
			}
		})
	}
}

// A change of the source is tried, also one that the live object has already.
func TestKnownSource(t *testing.T) {
	t.Parallel()
	p, log := newPlace(t), &tried{}
	set := p.Parse(t, settling)
	known := ObserveOptions{Owned: set.Refs(), Settled: settle(t, p.editor, set)}
	c := through(t, p.Namespace, log.wrap)
	changed := p.Parse(t, strings.Replace(settling, "name: one, labels: {a: b}", "name: one", 1))
	if got := summary(planOf(t, c, changed, known)); log.take() != "one" || len(got) != 1 {
		t.Errorf("a label that left the source: %v", got)
	}

	// An autoscaler takes the replicas: the Deployment is sent otherwise than before.
	scaled := p.Parse(t, settling+`---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 2, maxReplicas: 3,
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}
`)
	unset := edited(t, scaled, "Deployment", func(body map[string]any) {
		delete(body["spec"].(map[string]any), "replicas")
	})
	planOf(t, c, unset, known)
	if got := log.take(); got != "web" {
		t.Errorf("with an autoscaler, dry runs of %q", got)
	}
}

// What an Observe has found is taken over while the objects are the same.
func TestKnownBefore(t *testing.T) {
	t.Parallel()
	p, log := newPlace(t), &tried{}
	set := p.Parse(t, settling)
	apply(t, p.editor, p.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {LEVEL: debug}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: three}, data: {LEVEL: info}}
---`+settling[strings.LastIndex(settling, "---")+3:]))
	c := through(t, p.Namespace, log.wrap)
	first, err := Observe(t.Context(), c, set, ObserveOptions{Owned: set.Refs()})
	if err != nil || log.take() != "one secret service three two web" {
		t.Fatalf("the first time: %v", err)
	}
	apply(t, p.editor, p.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {LEVEL: warn}}`))
	patch(t, p, "v1 ConfigMap three", "kubectl-edit", `{"data": {"LEVEL": "warn"}}`)
	// As a controller notes the revision of a Deployment: its fingerprint stays the same.
	patch(t, p, "apps/v1 Deployment web", "kube-controller-manager",
		`{"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}}`, "status")
	again := planOf(t, c, set, ObserveOptions{Owned: set.Refs(), Before: first})
	if got := log.take(); got != "three two web" {
		t.Errorf("the second time, dry runs of %q", got)
	}
	if whole := planOf(t, c, set, ObserveOptions{Owned: set.Refs()}); !again.Equal(whole) {
		t.Errorf("taken over: %v\nasked: %v", summary(again), summary(whole))
	}
}

func planOf(t *testing.T, c *Cluster, set object.Set, o ObserveOptions) plan.Plan {
	t.Helper()
	seen, err := Observe(t.Context(), c, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Make(plan.Input{Environment: "test", Desired: set, Observed: seen, Owned: o.Owned})
}

// patch changes "VERSION KIND NAME" as a field manager.
func patch(t *testing.T, p place, what, manager, body string, subresource ...string) {
	t.Helper()
	words := strings.Fields(what)
	group, version, found := strings.Cut(words[0], "/")
	if !found {
		group, version = "", words[0]
	}
	at, err := p.admin.endpoint(t.Context(), object.Ref{Group: group, Kind: words[1], Namespace: p.Namespace,
		Name: words[2]}, version)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.Patch(t.Context(), words[2], types.MergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: manager}, subresource...); err != nil {
		t.Fatal(err)
	}
}
