package object

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

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
