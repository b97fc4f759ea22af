package object

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// A pool changes no value, and leaves one copy of what is equal.
func TestPool(t *testing.T) {
	t.Parallel()
	const have = `{kind: A, metadata: {name: a, labels: {x: y}}, spec: {list: [{a: 1}, {b: 2}], n: 1, none: {}}}`
	for name, text := range map[string]string{
		"equal": have,
		"more": `{kind: A, metadata: {name: a, uid: u, labels: {x: y}},
			spec: {list: [{a: 1}, {b: 2}, {c: 3}], n: 1, none: {}, m: 2}}`,
		"less": `{kind: A, metadata: {name: a}, spec: {list: [{a: 1}]}}`,
		"another value": `{kind: A, metadata: {name: a, labels: {x: z}},
			spec: {list: [{a: 2}, {b: 2}], n: 1.5, none: []}}`,
		"another type": `{kind: A, metadata: {name: a, labels: [x]}, spec: {list: {a: 1}, n: "1", none: null}}`,
	} {
		with, o, same := parseOne(t, have), parseOne(t, text), parseOne(t, text)
		pool := new(Pool)
		pool.Add(with)
		shared := pool.Fold(o)
		if diff := cmp.Diff(same.Body, shared.Body); diff != "" {
			t.Errorf("%s: changed: %s", name, diff)
		}
		if diff := cmp.Diff(parseOne(t, have).Body, with.Body); diff != "" {
			t.Errorf("%s: the other one changed: %s", name, diff)
		}
		if name == "more" && !identical(shared.At("metadata", "labels"), with.At("metadata", "labels")) {
			t.Errorf("%s: the labels are there twice", name)
		}
	}
}

// Share leaves the object as it is: other goroutines read it.
func TestPoolShare(t *testing.T) {
	const text = `{kind: A, metadata: {name: a, labels: {x: y}}, spec: {list: [{a: 1}, {b: 2}], n: 1}}`
	with, o := parseOne(t, text), parseOne(t, strings.Replace(text, "name: a", "name: b", 1))
	before := o.Clone()
	labels, item := o.At("metadata", "labels"), o.At("spec", "list").([]any)[0]
	var pool Pool
	pool.Add(with)
	shared := pool.Share(o)
	if diff := cmp.Diff(before.Body, shared.Body); diff != "" {
		t.Error("changed:", diff)
	}
	if !identical(shared.At("metadata", "labels"), with.At("metadata", "labels")) ||
		!identical(shared.At("spec"), with.At("spec")) {
		t.Error("equal parts are there twice")
	}
	if !identical(o.At("metadata", "labels"), labels) || !identical(o.At("spec", "list").([]any)[0], item) {
		t.Error("the object was written into")
	}
	if again := pool.Share(shared); !identical(again.Body, shared.Body) {
		t.Error("an object that has the parts of the pool is copied")
	}
}

// The objects of a large file take less than half of the memory that they take one by one.
func TestPoolMemory(t *testing.T) {
	const n = 2000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%[1]d, labels: {app: app-%[1]d}}
spec:
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata: {labels: {app: app-%[1]d}}
    spec:
      containers:
      - name: app
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}}
        resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}
`, i)
	}
	var objects []Object
	together := held(t, func() error {
		var err error
		objects, err = Read(strings.NewReader(text.String()), "a.yaml")
		return err
	})
	var alone []Object
	apart := held(t, func() error {
		for _, o := range objects {
			alone = append(alone, o.Clone())
		}
		return nil
	})
	if len(objects) != n || len(alone) != n || 2*together > apart {
		t.Errorf("%d objects hold %d bytes each, and %d copies %d bytes each", len(objects), together/n, len(alone),
			apart/n)
	}
}

// Live objects share the texts and keys that others have too, although no two of them are equal.
func TestPoolLive(t *testing.T) {
	const n = 2000
	text := func(i int) []byte {
		return fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app-%[1]d",
			"namespace": "production-of-the-shop", "uid": "00000000-%[1]d", "resourceVersion": "%[1]d",
			"creationTimestamp": "2026-11-30T12:00:00Z"}, "spec": {"clusterIP": "10.0.0.%[1]d",
			"internalTrafficPolicy": "Cluster", "sessionAffinity": "ClientIP", "type": "ClusterIP"}}`, i)
	}
	read := func(fold func(Object) Object) func() error {
		return func() error {
			for i := range n {
				var o Object
				if err := json.Unmarshal(text(i), &o.Body); err != nil {
					return err
				}
				kept = append(kept, fold(o))
			}
			return nil
		}
	}
	pool := new(Pool)
	together := held(t, read(pool.Fold))
	apart := held(t, read(func(o Object) Object { return o }))
	if kept = nil; together*5 > apart*4 {
		t.Errorf("a folded object takes %d bytes, and one that is not %d", together/n, apart/n)
	}
}

var kept []Object

// A pool writes into no part that other objects have: they may be read at the same time.
func TestPoolWrites(t *testing.T) {
	t.Parallel()
	pool := new(Pool)
	key := func(o Object) *byte {
		for k := range o.At("metadata", "labels").(map[string]any) {
			return unsafe.StringData(k)
		}
		return nil
	}
	pool.Add(parseOne(t, `{kind: A, metadata: {name: a, labels: {tier: x}}}`))
	with := parseOne(t, `{kind: A, metadata: {name: b, labels: {tier: y}}}`)
	pool.Add(with)
	before := key(with)
	live := pool.Fold(parseOne(t, `{kind: A, metadata: {name: b, uid: u, labels: {tier: y}}}`))
	if key(live) != before {
		t.Fatal("the labels are there twice")
	}
	if pool.Fold(live); key(with) != before {
		t.Error("the labels of another object were written")
	}
}

// held returns how many bytes the result of a function holds.
func held(t *testing.T, do func() error) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if err := do(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

func parseOne(t *testing.T, text string) Object {
	t.Helper()
	list, err := Read(strings.NewReader("{apiVersion: v1, "+strings.TrimPrefix(text, "{")), "a.yaml")
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return list[0]
}
