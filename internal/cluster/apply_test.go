package cluster

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
)

func TestScaledBy(t *testing.T) {
	got := scaledBy(manifests(t, `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}
---
{apiVersion: acme.example/v1, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: shop}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: other}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: elsewhere}}`))
	want := map[object.Ref]bool{{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
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
