package cluster

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The rules of an aggregated ClusterRole are its controller's.
func TestAggregatedRules(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	role := strings.ReplaceAll(`
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: $N-sum, namespace: ""}, rules: [],
  aggregationRule: {clusterRoleSelectors: [{matchLabels: {part: $N}}]}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: $N-part, namespace: "", labels: {part: $N}},
  rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}`, "$N", p.Namespace)
	set, err := Place(t.Context(), p.admin, p.Parse(t, role))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range set.Objects() {
		if err := p.admin.Apply(t.Context(), withoutAggregated(o), false); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := p.admin.typed.RbacV1().ClusterRoles().Watch(t.Context(), metav1.ListOptions{
		FieldSelector: "metadata.name=" + p.Namespace + "-sum"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for e := range watch.ResultChan() {
		if sum, ok := e.Object.(*rbacv1.ClusterRole); ok && len(sum.Rules) == 1 {
			break
		}
	}
	for _, force := range []bool{false, true} {
		if got := observed(t, p.admin, set, nil, force); !got.Empty() {
			t.Errorf("force %v: %v", force, summary(got))
		}
	}
}

// After an update, and after going back, an object is what a new one would be.
func TestDerivedFields(t *testing.T) {
	t.Parallel()
	const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {$ACCOUNT containers: [{name: web, image: ghcr.io/acme/web:1}]}`
	const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]$EGRESS}`
	with := func(account, egress string) *strings.Replacer {
		return strings.NewReplacer("$ACCOUNT", account, "$EGRESS", egress)
	}
	plain := with("", "")
	for name, c := range map[string]struct {
		text string
		to   *strings.Replacer
	}{
		"policy types":    {policy, with("", ", egress: [{ports: [{port: 443}]}]")},
		"service account": {deployment, with("serviceAccountName: bot,", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			for _, step := range []string{plain.Replace(c.text), c.to.Replace(c.text), plain.Replace(c.text)} {
				set := p.Parse(t, step)
				for range 2 { // a second release of the same changes nothing
					list, err := Observe(t.Context(), p.editor, set, ObserveOptions{Owned: set.Refs()})
					if err != nil || list[0].Err != nil {
						t.Fatal(err, list[0].Err)
					}
					if err := p.editor.Apply(t.Context(), list[0].Desired, false); err != nil {
						t.Fatal(err)
					}
					got, _, err := p.editor.get(t.Context(), set.Refs()[0], "")
					if err != nil {
						t.Fatal(err)
					}
					planned, _ := json.Marshal(list[0].Merged.Body["spec"])
					if live, _ := json.Marshal(got.Body["spec"]); string(live) != string(planned) {
						t.Errorf("the plan is not what runs: %s", cmp.Diff(list[0].Merged.Body["spec"], got.Body["spec"]))
					}
				}
				fresh := newPlace(t)
				created := fresh.Parse(t, step)
				apply(t, fresh.editor, created)
				want, _, err := fresh.editor.get(t.Context(), created.Refs()[0], "")
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := p.editor.get(t.Context(), set.Refs()[0], "")
				if diff := cmp.Diff(want.Body["spec"], got.Body["spec"]); diff != "" || err != nil {
					t.Errorf("other than a new object (-new +live): %s %v", diff, err)
				}
			}
		})
	}
}
