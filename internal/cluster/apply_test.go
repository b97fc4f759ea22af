package cluster

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

func TestScaledBy(t *testing.T) {
	got := scaledWorkloads(manifests(t,
		`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {minReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}
---
{apiVersion: acme.example/v1, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: other}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: elsewhere}}`))
	want := map[object.Ref]any{{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}: int64(3)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSettled(t *testing.T) {
	replicas := func(n any) object.Object {
		spec := map[string]any{}
		if n != nil {
			spec["replicas"] = n
		}
		return object.Object{Body: map[string]any{"spec": spec}}
	}
	for name, c := range map[string]struct {
		desired, live object.Object
		minimum, want any
	}{
		"live wins over the source":          {replicas(int64(2)), replicas(int64(7)), int64(3), int64(7)},
		"live stays where the source is mum": {replicas(nil), replicas(int64(7)), int64(3), int64(7)},
		"a new one takes the source's":       {replicas(int64(2)), object.Object{}, int64(3), int64(2)},
		"a new one takes the minimum":        {replicas(nil), object.Object{}, int64(3), int64(3)},
		"without a number":                   {replicas(nil), object.Object{}, nil, nil},
	} {
		if got := keepReplicas(c.desired, c.live, c.minimum).At("spec", "replicas"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWire(t *testing.T) {
	o := manifests(
		t, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop, resourceVersion: "7", uid: u, labels: {a: b}},
  data: {a: b25l, b: b25l}, stringData: {b: two}, status: {x: 1}}`).Objects()[0]
	want := map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "s", "namespace": "shop", "labels": map[string]any{"a": "b"}},
		"data":     map[string]any{"a": "b25l", "b": base64.StdEncoding.EncodeToString([]byte("two"))},
	}
	if diff := cmp.Diff(want, wire(o).Body); diff != "" {
		t.Error(diff)
	}
	if o.At("stringData", "b") != "two" {
		t.Error("the object itself was changed")
	}
}

// A delete is repeated after a conflict that is none, and after an answer that was lost. It never deletes
// another object that has taken the name.
func TestDeleteDespiteConflict(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		t.Run(fmt.Sprintf("deleted before: %v", done), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			var deletes atomic.Int64
			c := through(t, p.Namespace, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodDelete || deletes.Add(1) != 1 {
						next.ServeHTTP(rw, r)
						return
					}
					if done {
						next.ServeHTTP(httptest.NewRecorder(), r)
						panic(http.ErrAbortHandler)
					}
					rw.Header().Set("Content-Type", "application/json")
					rw.WriteHeader(http.StatusConflict)
					fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}`)
				})
			})
			set := p.Parse(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
			ref := set.Refs()[0]
			apply(t, p.editor, set)
			live, _, err := c.Get(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			uid, _ := live.At("metadata", "uid").(string)
			if err := c.Delete(t.Context(), ref, uid); err != nil {
				t.Error(err)
			}
			if _, found, err := c.Get(t.Context(), ref); found || err != nil || deletes.Load() != 2 {
				t.Errorf("found %v, %v after %d deletes", found, err, deletes.Load())
			}
			apply(t, p.editor, set)
			err = c.Delete(t.Context(), ref, uid)
			if err == nil || !strings.Contains(err.Error(), "has taken its name") {
				t.Errorf("delete of another object: %v", err)
			}
		})
	}
}
