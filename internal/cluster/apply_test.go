package cluster

import (
	"encoding/base64"
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
