package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
	"slipway/internal/plan"
)

const kept = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: web, annotations: {old: x}}, data: {a: "1", old: "1"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {old: x}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: old, port: 81}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {old: x}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: ghcr.io/acme/web:1
        env: [{name: KEEP, value: "1"}, {name: OLD, value: "1"}]
        resources: {limits: {memory: 64Mi, cpu: 100m}}
      - {name: side, image: ghcr.io/acme/side:1}
      volumes: [{name: old, emptyDir: {}}]
`

const wanted = `
{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: "1"}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: ghcr.io/acme/web:1
        env: [{name: KEEP, value: "1"}]
        resources: {limits: {memory: 64Mi}}
`

// What a tool applied stays with the first release, and goes with the next one if the source does not set
// it, in one change that the plan shows.
func TestClaim(t *testing.T) {
	t.Parallel()
	for _, tool := range []struct {
		manager string
		apply   bool
	}{
		{"kubectl-client-side-apply", false}, {"kubectl-create", false}, {"kubectl", true}, {"helm", false},
		{"helm", true}, {"argocd-controller", true}, {"kustomize-controller", true}, {"Mozilla", false},
	} {
		t.Run(fmt.Sprint(tool.manager, tool.apply), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			for _, o := range p.Parse(t, kept).Objects() {
				write(t, p, o, tool.manager, tool.apply)
			}
			set := p.Parse(t, wanted)
			if got := adoption(t, p, set, nil, false); len(got) > 0 {
				t.Errorf("the first release takes fields away: %v", got)
			}
			for _, o := range set.Objects() {
				if err := Claim(t.Context(), p.editor, o, true); err != nil {
					t.Fatal(err)
				}
			}
			apply(t, p.editor, set)
			from := ": takes over the fields of " + tool.manager + " "
			want := []string{
				`update ConfigMap/web` + from + `data.old "1"→null metadata.annotations {"old":"x"}→null`,
				`update Service/web` + from + `metadata.labels {"old":"x"}→null ` +
					`spec.ports[name=old] {"name":"old","port":81,"protocol":"TCP","targetPort":81}→null`,
			}
			got := adoption(t, p, set, set.Refs(), false)
			if diff := cmp.Diff(want, got[:2]); diff != "" {
				t.Error(diff)
			}
			for _, field := range []string{"metadata.annotations", "containers[name=side] ",
				"env[name=OLD] ", "limits.cpu ", "volumes"} {
				if !strings.Contains(got[2], field) {
					t.Errorf("the plan does not show %s: %s", field, got[2])
				}
			}
			if strings.Contains(got[2], "web].imagePullPolicy") {
				t.Errorf("the plan shows the loss of a default: %s", got[2])
			}
			if forced := adoption(t, p, set, nil, true); !strings.Contains(forced[0], "data.old") {
				t.Errorf("forced, the first release keeps fields: %v", forced)
			}
			for _, o := range set.Objects() {
				if err := Claim(t.Context(), p.editor, o, false); err != nil {
					t.Fatal(err)
				}
			}
			apply(t, p.editor, set)
			if after := observed(t, p.editor, set, nil, false); !after.Empty() {
				t.Errorf("after applying: %v", summary(after))
			}
			deployment, _, err := p.editor.get(t.Context(), set.Refs()[2], "")
			if data, _ := json.Marshal(deployment.Body["spec"]); err != nil || strings.Contains(string(data), "OLD") ||
				strings.Contains(string(data), "side") {
				t.Errorf("still there: %s, %v", data, err)
			}
		})
	}
}

// Fields of controllers stay, those of a person go, and pods that a person restarted are not restarted again.
func TestClaimKeeps(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, wanted)
	apply(t, p.editor, set)
	add := func(manager, path string) {
		patch := fmt.Sprintf(`{"spec": {"template": {"metadata": {"annotations": {%q: "1"}}}}}`, path)
		_, err := p.admin.typed.AppsV1().Deployments(p.Namespace).Patch(t.Context(), "web",
			types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
		if err != nil {
			t.Fatal(err)
		}
	}
	add("vault-injector", "vault")
	add("kubectl-rollout", restarted)
	if got := adoption(t, p, set, set.Refs(), false); len(got) > 0 {
		t.Errorf("a controller's annotation and a restart: %v", got)
	}
	add("kubectl-patch", "by-hand")
	want := []string{"update Deployment/web: takes over the fields of kubectl-patch " +
		`spec.template.metadata.annotations.by-hand "1"→null`}
	if diff := cmp.Diff(want, adoption(t, p, set, set.Refs(), false)); diff != "" {
		t.Error(diff)
	}
	deployment := set.Objects()[2]
	if err := Claim(t.Context(), p.editor, deployment, false); err != nil {
		t.Fatal(err)
	}
	apply(t, p.editor, set)
	live, _, err := p.editor.get(t.Context(), deployment.Ref(), "")
	if err != nil {
		t.Fatal(err)
	}
	annotations := live.At("spec", "template", "metadata", "annotations")
	if diff := cmp.Diff(map[string]any{"vault": "1", restarted: "1"}, annotations); diff != "" {
		t.Error(diff)
	}
}

// Secrets of an object that kubectl applied are not in the plan that takes it over.
func TestClaimHidesSecrets(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const secret = `{apiVersion: v1, kind: Secret, metadata: {name: web%s}, stringData: {key: hunter22%s}}`
	applied := fmt.Sprintf(secret, `, annotations: {`+
		`kubectl.kubernetes.io/last-applied-configuration: '{"stringData":{"key":"hunter22","old":"correct-horse"}}'}`,
		", old: correct-horse")
	write(t, p, p.Parse(t, applied).Objects()[0], "kubectl-client-side-apply", false)
	set := p.Parse(t, fmt.Sprintf(secret, "", ""))
	got := strings.Join(adoption(t, p, set, set.Refs(), false), "\n")
	for _, value := range []string{"hunter22", "correct-horse", "Y29ycmVjdC1ob3JzZQ"} {
		if strings.Contains(got, value) {
			t.Errorf("the plan shows %s: %s", value, got)
		}
	}
	if !strings.Contains(got, "data.old") {
		t.Errorf("the plan does not show that data.old goes: %s", got)
	}
}

// A field that the server does not let go stays, and the plan says why; the rest is applied.
func TestClaimRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, wanted)
	apply(t, p.editor, set)
	_, err := p.admin.typed.CoreV1().ConfigMaps(p.Namespace).Patch(t.Context(), "web", types.MergePatchType,
		[]byte(`{"immutable": true}`), metav1.PatchOptions{FieldManager: "kubectl-patch"})
	if err != nil {
		t.Fatal(err)
	}
	if got := adoption(t, p, set, set.Refs(), false); len(got) > 0 {
		t.Errorf("nothing can change: %v", got)
	}
	labelled := edited(t, set, "ConfigMap", put(map[string]any{"a": "b"}, "metadata", "labels"))
	want := []string{"update ConfigMap/web: fields of other tools stay: kubectl-patch: ConfigMap \"web\" is " +
		"invalid: " +
		"immutable: " +
		"Forbidden: field is immutable when `immutable` is set metadata.labels null→{\"a\":\"b\"}"}
	if diff := cmp.Diff(want, adoption(t, p, labelled, set.Refs(), false)); diff != "" {
		t.Error(diff)
	}
}

// Namespaces are shared: labels that an administrator set there stay.
func TestClaimLeavesNamespaces(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	patch := []byte(`{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}`)
	_, err := p.admin.typed.CoreV1().Namespaces().Patch(t.Context(), p.Namespace, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: "kubectl-label"})
	if err != nil {
		t.Fatal(err)
	}
	set := p.Parse(t, `{apiVersion: v1, kind: Namespace, metadata: {name: `+p.Namespace+`, namespace: ""}}`)
	list, err := Observe(t.Context(), p.admin, set, ObserveOptions{Owned: set.Refs(), Force: true})
	if err != nil || len(list[0].Claimed) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// write creates an object as another tool does.
func write(t *testing.T, p place, o object.Object, manager string, apply bool) {
	t.Helper()
	at, err := p.admin.endpoint(t.Context(), o.Ref(), version(o))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: o.Clone().Body}
	if apply {
		_, err = at.Apply(t.Context(), o.Ref().Name, u, metav1.ApplyOptions{FieldManager: manager})
	} else {
		_, err = at.Create(t.Context(), u, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// adoption is the plan for objects that are there, of which earlier releases made the owned ones.
func adoption(t *testing.T, p place, set object.Set, owned []object.Ref, force bool) []string {
	t.Helper()
	list, err := Observe(t.Context(), p.editor, set, ObserveOptions{Owned: owned, Force: force})
	if err != nil {
		t.Fatal(err)
	}
	return summary(plan.Make(plan.Input{Environment: "test", Desired: set, Observed: list, Owned: owned}))
}
