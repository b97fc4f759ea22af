package cluster

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

func TestSettleReplicas(t *testing.T) {
	const (
		web    = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3}}`
		silent = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {paused: false}}`
		five   = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 5}}`
		hpa    = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {minReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
		other  = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: elsewhere}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
	)
	for _, test := range []struct {
		name, desired, live, scaler string
		want                        any
	}{
		{"no autoscaler", web, five, "", int64(3)},
		{"autoscaler: live counts", web, five, hpa, int64(5)},
		{"autoscaler: live counts where the source is silent", silent, five, hpa, int64(5)},
		{"autoscaler of another namespace", web, five, other, int64(3)},
		{"autoscaler, new workload", web, "", hpa, int64(3)},
		{"autoscaler, new workload, source silent", silent, "", hpa, int64(2)},
	} {
		t.Run(test.name, func(t *testing.T) {
			desired := manifests(t, test.desired)
			before := desired.Digest()
			live := map[object.Ref]object.Object{}
			if test.live != "" {
				o := manifests(t, test.live).Objects()[0]
				live[o.Ref()] = o
			}
			var scalers []object.Object
			if test.scaler != "" {
				scalers = manifests(t, test.scaler).Objects()
			}
			settled := settleReplicas(desired, live, scalers)
			if diff := cmp.Diff(test.want, settled.Objects()[0].At("spec", "replicas")); diff != "" {
				t.Error(diff)
			}
			if desired.Digest() != before {
				t.Error("the desired set itself was changed")
			}
		})
	}
}

func TestWire(t *testing.T) {
	o := manifests(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop, resourceVersion: "7", uid: u, labels: {a: b}},
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
