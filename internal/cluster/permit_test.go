package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// All that is missing is said at once, by verb and kind.
func TestPermit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	deployment := object.Ref{Group: "apps", Kind: "Deployment", Namespace: p.Namespace, Name: "web"}
	changes := []plan.Change{
		{Action: plan.Create, Ref: deployment},
		{Action: plan.Delete, Ref: object.Ref{Kind: "ConfigMap", Namespace: p.Namespace, Name: "c"}},
		{Action: plan.Keep, Ref: object.Ref{Kind: "Node", Name: "n"}},
		{Action: plan.Update, Ref: object.Ref{Group: "nowhere.example", Kind: "Thing", Name: "n"}},
	}
	if err := Permit(t.Context(), p.editor, changes); err != nil {
		t.Errorf("an editor: %v", err)
	}
	elsewhere := deployment
	elsewhere.Namespace = "kube-system"
	changes = append(changes,
		plan.Change{Action: plan.Update, Ref: elsewhere},
		plan.Change{Action: plan.Create, Ref: object.Ref{Group: "rbac.authorization.k8s.io",
			Kind: "ClusterRole", Name: "x"}})
	err := Permit(t.Context(), p.editor, changes)
	var denied *PermissionError
	if !errors.As(err, &denied) {
		t.Fatal(err)
	}
	var missing []string
	for _, m := range denied.Missing {
		missing = append(missing, m.String())
	}
	want := []string{
		"create clusterroles.rbac.authorization.k8s.io",
		"patch clusterroles.rbac.authorization.k8s.io",
		"patch deployments.apps in kube-system",
	}
	if diff := cmp.Diff(want, missing); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(denied.User, "system:serviceaccount:"+p.Namespace) {
		t.Errorf("user %q", denied.User)
	}
	if err := Permit(t.Context(), p.admin, changes); err != nil {
		t.Errorf("an admin: %v", err)
	}
}

// A role may name the objects that it is about.
func TestPermitByName(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(
		t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: $NAMESPACE, namespace: ""}, rules: [
  {apiGroups: [storage.k8s.io], resources: [storageclasses], verbs: [get, patch], resourceNames: [mine]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: $NAMESPACE, namespace: ""}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $NAMESPACE},
  subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccounts:$NAMESPACE"}]}`)
	set, err := Place(t.Context(), p.admin, set)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, p.admin, set)
	class := func(name string) []plan.Change {
		return []plan.Change{{Action: plan.Update, Ref: object.Ref{Group: "storage.k8s.io",
			Kind: "StorageClass", Name: name}}}
	}
	if err := Permit(t.Context(), p.editor, class("mine")); err != nil {
		t.Error(err)
	}
	var denied *PermissionError
	if err := Permit(t.Context(), p.editor, class("yours")); !errors.As(err, &denied) {
		t.Error(err)
	}

	// The dry run of an apply that would create takes the permission to create.
	classes, err := Place(t.Context(), p.admin, p.Parse(t,
		`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: mine}, provisioner: none}`))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := Observe(t.Context(), p.editor, classes, ObserveOptions{})
	if err != nil || !errors.As(seen[0].Err, &denied) || denied.Missing[0].Verb != "create" {
		t.Errorf("a dry run without the permission to create: %+v, %v", seen, err)
	}
}

func TestWho(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if who := username(t.Context(), p.editor); !strings.HasPrefix(who, "system:serviceaccount:"+
		p.Namespace+":") {
		t.Errorf("%q", who)
	}
}
