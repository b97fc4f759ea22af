package cluster

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

func conflictStatus(causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusConflict, Reason: metav1.StatusReasonConflict,
		Message: "Apply failed with conflicts", Details: &metav1.StatusDetails{Causes: causes},
	}}
}

func causeOf(message, field string) metav1.StatusCause {
	return metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Message: message, Field: field}
}

func TestConflict(t *testing.T) {
	deployment := func(image string, replicas string) object.Object {
		return manifests(
			t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: `+
				replicas+`,
  template: {spec: {containers: [{name: side, image: s}, {name: api, image: `+image+`, ports: [{containerPort: 80, protocol: TCP, hostPort: 1}]}]}}}}`).Objects()[0]
	}
	secret := func(value string) object.Object {
		return manifests(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, stringData: {k: `+
			value+`}}`).Objects()[0]
	}
	service := func(spec string) object.Object {
		return manifests(t, `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {`+spec+
			`}}`).Objects()[0]
	}
	long := strings.Repeat("x", 118)
	for _, test := range []struct {
		name       string
		live, ours object.Object
		cause      metav1.StatusCause
		want       Conflict
		text       string
	}{
		{"a field of a container", deployment("a", "1"), deployment("b", "1"),
			causeOf(`conflict with "kubectl-edit" using apps/v1 at 2026-11-01T10:00:00Z`,
				`.spec.template.spec.containers[name="api"].image`),
			Conflict{Field: "spec.template.spec.containers[name=api].image", Manager: "kubectl-edit",
				Theirs: "a", Ours: "b"},
			`kubectl-edit holds spec.template.spec.containers[name=api].image ("a", ours is "b")`},
		{"an element with two keys", deployment("a", "1"), deployment("b", "1"),
			causeOf(`conflict with "tool"`,
				`.spec.template.spec.containers[name="api"].ports[containerPort=80,protocol="TCP"].hostPort`),
			Conflict{Field: "spec.template.spec.containers[name=api].ports[containerPort=80,protocol=TCP].hostPort",
				Manager: "tool", Theirs: int64(1), Ours: int64(1)},
			`tool holds spec.template.spec.containers[name=api].ports[containerPort=80,protocol=TCP].hostPort (1, ours is 1)`},
		{"a key that we leave to its default", service("ports: [{port: 80, protocol: TCP, targetPort: 2}]"),
			service("ports: [{port: 443, targetPort: 3}, {port: 80, targetPort: 1}]"),
			causeOf(`conflict with "tool"`, `.spec.ports[port=80,protocol="TCP"].targetPort`),
			Conflict{Field: "spec.ports[port=80,protocol=TCP].targetPort", Manager: "tool", Theirs: int64(2),
				Ours: int64(1)},
			`tool holds spec.ports[port=80,protocol=TCP].targetPort (2, ours is 1)`},
		{"long values", deployment(long+"a", "1"), deployment(long+"b", "1"),
			causeOf(`conflict with "tool"`, `.spec.template.spec.containers[name="api"].image`),
			Conflict{Field: "spec.template.spec.containers[name=api].image", Manager: "tool", Theirs: long + "a",
				Ours: long + "b"},
			`tool holds spec.template.spec.containers[name=api].image ("` + long + `…, ours is "` + long + `…)`},
		{"through a subresource", deployment("a", "5"), deployment("a", "3"),
			causeOf(`conflict with "kubectl" with subresource "scale" using apps/v1`, `.spec.replicas`),
			Conflict{Field: "spec.replicas", Manager: "kubectl", Subresource: "scale", Theirs: int64(5),
				Ours: int64(3)},
			`kubectl (scale) holds spec.replicas (5, ours is 3)`},
		{"a secret's value is not shown", secret("hunter22"), secret("hunter33"),
			causeOf(`conflict with "kubectl-edit" using v1`, `.data.k`),
			Conflict{Field: "data.k", Manager: "kubectl-edit", Theirs: object.Hidden, Ours: object.Hidden},
			`kubectl-edit holds data.k ("(hidden)", ours is "(hidden)")`},
		{"an unknown form", deployment("a", "1"), deployment("a", "1"), causeOf(`something new`, `.a[`),
			Conflict{Field: "a[", Manager: "another manager"}, `another manager holds a[`},
	} {
		t.Run(test.name, func(t *testing.T) {
			live := wire(test.live)
			err := conflictOf(conflictStatus(test.cause), live, test.ours)
			var conflict *ConflictError
			if !errors.As(err, &conflict) {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Conflict{test.want}, conflict.Conflicts, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if want := test.ours.Ref().String() + ": " + test.text; err.Error() != want {
				t.Errorf("%s\nwant %s", err, want)
			}
		})
	}
}

func TestConflictOfAnotherKind(t *testing.T) {
	err := conflictStatus()
	if got := conflictOf(err, object.Object{},
		manifests(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`).Objects()[0]); got != err {
		t.Errorf("a conflict without managers became %v", got)
	}
}

func TestOnlyAnAutoscalerScales(t *testing.T) {
	for manager, want := range map[string]bool{"kube-controller-manager": true, "kubectl": false} {
		e := ConflictError{Conflicts: []Conflict{{Field: "spec.replicas", Manager: manager, Subresource: "scale"}}}
		if e.scaled() != want {
			t.Errorf("%s: %v", manager, !want)
		}
	}
}
