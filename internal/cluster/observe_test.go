package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
	"slipway/internal/plan"
)

const shop = `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: web}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {LEVEL: info}}
---
{apiVersion: v1, kind: Secret, metadata: {name: web}, stringData: {PASSWORD: hunter22, gone: later}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, creationTimestamp: null}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - {name: api, image: $IMAGE, ports: [{containerPort: 8080}], resources: {limits: {cpu: 1000m, memory: 64Mi}}, env: [{name: LEVEL, value: a}]}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [{host: web.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: web}, spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: j, image: $IMAGE}]}}}}}}
`

func observed(t *testing.T, c *Cluster, set object.Set, owned []object.Ref, force bool) plan.Plan {
	t.Helper()
	list, err := Observe(t.Context(), c, set, ObserveOptions{Owned: owned, Force: force})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Make(plan.Input{Environment: "test", Desired: set, Observed: list,
		Owned: append(set.Refs(), owned...)})
}

// summary is one line for each change that is not Keep.
func summary(p plan.Plan) []string {
	var lines []string
	for _, c := range p.Changes {
		if c.Action == plan.Keep {
			continue
		}
		line := fmt.Sprintf("%s %s/%s", c.Action, c.Ref.Kind, c.Ref.Name)
		if c.Reason != "" {
			line += ": " + c.Reason
		}
		for _, f := range c.Fields {
			before, _ := json.Marshal(f.Before)
			after, _ := json.Marshal(f.After)
			line += fmt.Sprintf(" %s %s→%s", f.Path, before, after)
		}
		lines = append(lines, line)
	}
	return lines
}

func edited(t *testing.T, set object.Set, kind string, change func(body map[string]any)) object.Set {
	t.Helper()
	set, err := set.Map(func(o object.Object) (object.Object, error) {
		if o.Ref().Kind == kind {
			o = o.Clone()
			change(o.Body)
		}
		return o, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func put(value any, path ...string) func(map[string]any) {
	return func(m map[string]any) {
		for _, p := range path[:len(path)-1] {
			m = m[p].(map[string]any)
		}
		m[path[len(path)-1]] = value
	}
}

// What is applied is what the plan showed, and then there is nothing left to do.
func TestObserveApplyObserve(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, shop)
	first := observed(t, p.editor, set, nil, false)
	if n := first.Count(plan.Create); n != set.Len() || !first.Complete {
		t.Fatalf("%d of %d objects are new: %v", n, set.Len(), summary(first))
	}
	if _, found, err := p.editor.get(t.Context(), set.Refs()[0], ""); err != nil || found {
		t.Fatalf("observing created something: %v, %v", found, err)
	}
	apply(t, p.editor, set)
	if second := observed(t, p.editor, set, nil, false); !second.Empty() || !second.Complete {
		t.Errorf("after applying: %v", summary(second))
	}

	changed := edited(t, set, "Secret", func(b map[string]any) {
		b["stringData"] = map[string]any{"PASSWORD": "hunter33"}
	})
	changed = edited(t, changed, "Service",
		put([]any{map[string]any{"name": "http", "port": int64(81), "targetPort": int64(8080)}}, "spec", "ports"))
	want := []string{
		`update Secret/web data.PASSWORD "(hidden)"→"(hidden)" data.gone "(hidden)"→null`,
		`update Service/web spec.ports[name=http].port 80→81`,
	}
	if diff := cmp.Diff(want, summary(observed(t, p.editor, changed, nil, false))); diff != "" {
		t.Error(diff)
	}
	apply(t, p.editor, changed)
	if last := observed(t, p.editor, changed, nil, false); !last.Empty() {
		t.Errorf("after the change: %v", summary(last))
	}
}

func TestOwnedButNotDesired(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}`)
	apply(t, p.editor, set)
	a, b := set.Refs()[0], set.Refs()[1]
	never := object.Ref{Kind: "ConfigMap", Namespace: p.Namespace, Name: "never"}
	goneKind := object.Ref{Group: "nowhere.example", Kind: "Thing", Namespace: p.Namespace, Name: "x"}
	var only object.Set
	if err := only.Add(set.Objects()[0]); err != nil {
		t.Fatal(err)
	}
	owned := []object.Ref{a, b, never, goneKind}
	got := observed(t, p.editor, only, owned, false)
	if diff := cmp.Diff([]string{"delete ConfigMap/b: no longer in the source"}, summary(got)); diff != "" ||
		!got.Complete {
		t.Error(diff)
	}
	for range 2 { // what is gone already is done
		if err := p.editor.Delete(t.Context(), b, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.editor.Delete(t.Context(), goneKind, ""); err != nil {
		t.Fatal(err)
	}
	if err := p.editor.Delete(t.Context(), a, "another"); err == nil {
		t.Error("an object with another UID was deleted")
	}
	if _, found, err := p.editor.get(t.Context(), a, ""); err != nil || !found {
		t.Errorf("a is gone: %v", err)
	}
	if got := observed(t, p.editor, only, owned, false); !got.Empty() {
		t.Error(summary(got))
	}
}

// What the server would refuse stands in the plan with the server's words.
func TestObserveRefusals(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, shop)
	apply(t, p.editor, set)
	for _, test := range []struct {
		name string
		set  object.Set
		want string
	}{
		{"immutable selector", edited(t, set, "Deployment", func(b map[string]any) {
			put(map[string]any{"app": "web", "env": "prod"}, "spec", "selector", "matchLabels")(b)
			put(map[string]any{"app": "web", "env": "prod"}, "spec", "template", "metadata", "labels")(b)
		}), "spec.selector cannot be changed after the object was created"},
		{"a field that does not exist", edited(t, set, "Deployment", put("x", "spec", "replicaz")),
			`spec.replicaz: field not declared in schema`},
		{"a kind that is not served",
			p.Parse(t, `{apiVersion: acme.example/v1, kind: Widget, metadata: {name: w}}`),
			"k8s/app.yaml:1: the cluster does not serve acme.example/v1 Widget"},
		{"a version that is not served",
			p.Parse(t, `{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: web}}`),
			"the cluster does not serve policy/v1beta1 PodDisruptionBudget"},
		{"not permitted", p.Parse(t,
			`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: x, namespace: ""}}`),
			"may not get clusterroles.rbac.authorization.k8s.io"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := Place(t.Context(), p.editor, test.set)
			if err != nil {
				t.Fatal(err)
			}
			got := observed(t, p.editor, set, nil, false)
			if lines := summary(got); got.Count(plan.Blocked) != 1 || got.Complete ||
				!strings.Contains(strings.Join(lines, "\n"), test.want) {
				t.Errorf("%v\nwant %s", lines, test.want)
			}
		})
	}
}

func TestObserveConflict(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, shop)
	apply(t, p.editor, set)
	edit := []byte(`{"data": {"LEVEL": "debug", "EXTRA": "1"}}`)
	_, err := p.admin.typed.CoreV1().ConfigMaps(p.Namespace).Patch(t.Context(), "web", types.MergePatchType,
		edit, metav1.PatchOptions{FieldManager: "kubectl-edit"})
	if err != nil {
		t.Fatal(err)
	}
	got := summary(observed(t, p.editor, set, nil, false))
	want := []string{fmt.Sprintf(
		`blocked ConfigMap/web: ConfigMap %s/web: kubectl-edit holds data.LEVEL ("debug", ours is "info") (k8s/app.yaml:4)`, p.Namespace)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	config := set.Objects()[1]
	var conflict *ConflictError
	if err := p.editor.Apply(t.Context(), config, false); !errors.As(err, &conflict) {
		t.Errorf("apply: %v", err)
	}
	got = summary(observed(t, p.editor, set, nil, true))
	want = []string{"update ConfigMap/web: takes over the fields of kubectl-edit " +
		`data.EXTRA "1"→null data.LEVEL "debug"→"info"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := Claim(t.Context(), p.editor, config, false); err != nil {
		t.Error(err)
	}
	if err := p.editor.Apply(t.Context(), config, true); err != nil {
		t.Error(err)
	}
	if got := observed(t, p.editor, set, nil, false); !got.Empty() {
		t.Error(summary(got))
	}
}

const widgets = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[1]ss.acme.example},
  spec: {group: acme.example, scope: Namespaced, names: {plural: %[1]ss, singular: %[1]s, kind: %[1]s, listKind: %[1]sList},
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}]}}
---
{apiVersion: acme.example/v1, kind: %[1]s, metadata: {name: w}, spec: {size: 3}}`

// A namespace, or a kind, that comes with the same deploy cannot be tried yet, and that is said.
func TestObserveUnverified(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	kind := "w" + strings.ReplaceAll(p.Namespace, "-", "")
	set := p.Parse(t, fmt.Sprintf(widgets, kind)+fmt.Sprintf(`
---
{apiVersion: v1, kind: Namespace, metadata: {name: %[1]s-more}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: %[1]s-more}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: %[1]s-never}}`, p.Namespace))
	set, err := Place(t.Context(), p.admin, set)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"create CustomResourceDefinition/" + kind + "s.acme.example",
		"create Namespace/" + p.Namespace + "-more",
		"create ConfigMap/c: namespace " + p.Namespace + "-more comes with the same deploy",
		"blocked ConfigMap/c: namespace " + p.Namespace + "-never does not exist (context admin) (k8s/app.yaml:11)",
		"create " + kind + "/w: its kind comes with CustomResourceDefinition " + kind +
			"s.acme.example of the same deploy",
	}
	got := observed(t, p.admin, set, nil, false)
	if diff := cmp.Diff(want, summary(got)); diff != "" || got.Complete {
		t.Error(diff)
	}
}

// Whatever the source says about replicas, an autoscaler's number stays: planned, applied, forced.
func TestAutoscalerIsNotFought(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, shop+`
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 1, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web},
  metrics: [{type: External, external: {metric: {name: nothing}, target: {type: Value, value: "1"}}}]}}`)
	apply(t, p.editor, set)
	// Not scaled yet: leaving replicas out would reset them to one.
	silent := edited(t, set, "Deployment", func(b map[string]any) {
		delete(b["spec"].(map[string]any), "replicas")
	})
	if got := observed(t, p.editor, silent, nil, false); !got.Empty() {
		t.Errorf("source without replicas: %v", summary(got))
	}
	scale(t, p, "kube-controller-manager", 5)
	for _, force := range []bool{false, true} {
		if got := observed(t, p.editor, set, nil, force); !got.Empty() {
			t.Errorf("force %v: %v", force, summary(got))
		}
	}
	// Even somebody who never looked cannot take them.
	for _, force := range []bool{false, true} {
		deployment := edited(t, set, "Deployment", put(map[string]any{"x": fmt.Sprint(force)}, "metadata",
			"annotations"))
		for _, o := range deployment.Objects() {
			if o.Ref().Kind != "Deployment" {
				continue
			}
			if err := p.editor.Apply(t.Context(), o, force); err != nil {
				t.Error(err)
			}
			live, _, err := p.editor.get(t.Context(), o.Ref(), "")
			if err != nil || live.At("spec", "replicas") != int64(5) {
				t.Errorf("force %v: %v, %v", force, live.At("spec", "replicas"), err)
			}
		}
	}

	// A person who scales is another matter.
	scale(t, p, "kubectl", 7)
	without := object.Set{}
	for _, o := range set.Objects() {
		if o.Ref().Kind != "HorizontalPodAutoscaler" {
			if err := without.Add(o); err != nil {
				t.Fatal(err)
			}
		}
	}
	scaler := object.Ref{Group: "autoscaling", Kind: "HorizontalPodAutoscaler",
		Namespace: p.Namespace, Name: "web"}
	got := observed(t, p.editor, without, []object.Ref{scaler}, false)
	if lines := strings.Join(summary(got), "\n"); !strings.Contains(lines,
		"kubectl (scale) holds spec.replicas (7, ours is 2)") || !strings.Contains(lines,
		"delete HorizontalPodAutoscaler") {
		t.Error(lines)
	}
}

func scale(t *testing.T, p place, manager string, n int32) {
	t.Helper()
	s := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: p.Namespace},
		Spec: autoscalingv1.ScaleSpec{Replicas: n}}
	if _, err := p.admin.typed.AppsV1().Deployments(p.Namespace).UpdateScale(t.Context(), "web", s,
		metav1.UpdateOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var set object.Set
	for _, o := range []object.Object{
		{Body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"}}},
		{Body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c",
			"namespace": "other"}}},
		{Body: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "n",
			"namespace": "wrong"}}},
		{Body: map[string]any{"apiVersion": "acme.example/v1", "kind": "Unknown",
			"metadata": map[string]any{"name": "u"}}},
		{Body: map[string]any{"apiVersion": "acme.example/v1", "kind": "Globe",
			"metadata": map[string]any{"name": "g"}}},
		{Body: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
			"metadata": map[string]any{"name": "globes.acme.example"},
			"spec": map[string]any{"group": "acme.example", "scope": "Cluster",
				"names": map[string]any{"kind": "Globe"}}}},
	} {
		if err := set.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	before := set.Digest()
	placed, err := Place(t.Context(), p.editor, set)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range placed.Refs() {
		got = append(got, r.String())
	}
	ns := p.Namespace
	want := []string{"ConfigMap " + ns + "/c", "ConfigMap other/c", "Namespace n", "Unknown " + ns + "/u",
		"Globe g", "CustomResourceDefinition globes.acme.example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if set.Digest() != before {
		t.Error("Place changed the set that it was given")
	}
}

// What goes away between the look and the question is not there: a Job whose time to live has ended.
func TestObserveVanishing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	set := p.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: fleeting}, data: {a: b}}`)
	apply(t, p.editor, set)
	var once sync.Once
	late := through(t, "", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				once.Do(func() {
					if err := p.editor.Delete(t.Context(), set.Refs()[0], ""); err != nil {
						t.Error(err)
					}
				})
			}
			next.ServeHTTP(w, r)
		})
	})
	if diff := cmp.Diff([]string{"create ConfigMap/fleeting"},
		summary(observed(t, late, set, nil, false))); diff != "" {
		t.Error(diff)
	}
}
