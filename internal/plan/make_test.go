package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"slipway/internal/object"
)

func TestMake(t *testing.T) {
	deployment := parse(
		t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: prod}, spec: {replicas: 2}}`)
	live := parse(
		t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: prod, uid: u1, resourceVersion: "5"}, spec: {replicas: 2}, status: {readyReplicas: 2}}`)
	config := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: prod}}`)
	volume := parse(
		t, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: prod, uid: u2}}`)
	secret := parse(
		t, `{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: prod}, stringData: {k: hunter22}}`)
	dying := parse(
		t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: prod, deletionTimestamp: "2026-11-01T00:00:00Z"}}`)
	oldIngress := parse(
		t, `{apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: api, namespace: prod, uid: u1}}`)

	for _, test := range []struct {
		name     string
		desired  []object.Object
		observed []Observed
		owned    []object.Ref
		want     string
	}{
		{"new object", []object.Object{deployment}, []Observed{{Ref: deployment.Ref(), Merged: live}}, nil,
			"create Deployment prod/api stage 4\ncomplete"},
		{"same object", []object.Object{deployment}, []Observed{{Ref: deployment.Ref(), Live: live, Merged: live}},
			nil,
			"keep Deployment prod/api stage 4\ncomplete"},
		{"one field", []object.Object{deployment}, []Observed{{Ref: deployment.Ref(), Live: live,
			Merged: with(live, int64(3), "spec", "replicas")}}, []object.Ref{deployment.Ref()},
			"update Deployment prod/api stage 4\n  spec.replicas: 2 → 3\ncomplete"},
		{"there before", []object.Object{deployment}, []Observed{{Ref: deployment.Ref(), Live: live,
			Merged: with(live, int64(3), "spec", "replicas")}}, nil,
			"update Deployment prod/api stage 4: exists already, and becomes part of prod\n  spec.replicas: 2 → " +
				"3\ncomplete"},
		{"refused by the server", []object.Object{deployment},
			[]Observed{{Ref: deployment.Ref(), Live: live,
				Err: errors.New("spec.selector: Invalid value: field is immutable")}}, nil,
			"blocked Deployment prod/api stage 4: spec.selector: Invalid value: field is immutable\nincomplete"},
		{"refused with a secret in the text", []object.Object{secret},
			[]Observed{{Ref: secret.Ref(), Err: errors.New("data[k]: Invalid value: hunter22 is too short")}}, nil,
			"blocked Secret prod/s stage 3: data[k]: Invalid value: (hidden) is too short\nincomplete"},
		{"never looked at", []object.Object{deployment}, nil, nil,
			"blocked Deployment prod/api stage 4: not observed\nincomplete"},
		{"not verified, not there", []object.Object{deployment},
			[]Observed{{Ref: deployment.Ref(), Merged: deployment, Unverified: "namespace prod is not there yet"}},
			nil,
			"create Deployment prod/api stage 4: namespace prod is not there yet\nincomplete"},
		{"not verified, there: only what is asked for counts", []object.Object{deployment},
			[]Observed{{Ref: deployment.Ref(), Live: with(live, "x", "spec", "defaulted"), Merged: deployment,
				Unverified: "no dry-run"}}, nil,
			"keep Deployment prod/api stage 4\nincomplete"},
		{"on its way out", []object.Object{config}, []Observed{{Ref: config.Ref(), Live: dying, Merged: dying}},
			nil,
			"blocked ConfigMap prod/c stage 3: it is being deleted: wait until it is gone\nincomplete"},
		{"no longer wanted", nil, []Observed{{Ref: config.Ref(), Live: config}}, []object.Ref{config.Ref(),
			config.Ref()},
			"delete ConfigMap prod/c stage 8: no longer in the source\ncomplete"},
		{"no longer wanted, nor there", nil, []Observed{{Ref: config.Ref()}},
			[]object.Ref{config.Ref()}, "complete"},
		{"no longer wanted, unreadable", nil, []Observed{{Ref: config.Ref(), Err: errors.New("500")}},
			[]object.Ref{config.Ref()},
			"blocked ConfigMap prod/c stage 8: 500\nincomplete"},
		{"protected", nil, []Observed{{Ref: volume.Ref(), Live: volume}}, []object.Ref{volume.Ref()},
			"keep PersistentVolumeClaim prod/data stage 8: no longer in the source, but a PersistentVolumeClaim is " +
				"not deleted with the rest: --prune PersistentVolumeClaim/data deletes it\ncomplete"},
		{"asks to be kept", nil, []Observed{{Ref: config.Ref(), Live: with(config,
			map[string]any{"argocd.argoproj.io/sync-options": "Validate=false, Prune=false"},
			"metadata", "annotations")}},
			[]object.Ref{config.Ref()},
			"keep ConfigMap prod/c stage 8: no longer in the source, but its annotation " +
				"argocd.argoproj.io/sync-options: Prune=false keeps it\ncomplete"},
		{"moved to another API group", []object.Object{deployment},
			[]Observed{{Ref: deployment.Ref(), Live: live, Merged: live}, {Ref: oldIngress.Ref(), Live: oldIngress}},
			[]object.Ref{oldIngress.Ref()},
			"keep Deployment prod/api stage 4\ncomplete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := Make(Input{Environment: "prod", Desired: set(t, test.desired...), Observed: test.observed,
				Owned: test.owned})
			if diff := cmp.Diff(test.want, text(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	refs := []object.Ref{
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "x"},
		{Kind: "Namespace", Name: "prod"},
		{Kind: "ServiceAccount", Namespace: "prod", Name: "api"},
		{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding", Namespace: "prod", Name: "api"},
		{Group: "networking.k8s.io", Kind: "NetworkPolicy", Namespace: "prod", Name: "api"},
		{Kind: "Secret", Namespace: "prod", Name: "api"},
		{Kind: "ConfigMap", Namespace: "prod", Name: "a"},
		{Kind: "ConfigMap", Namespace: "prod", Name: "b"},
		{Kind: "Service", Namespace: "prod", Name: "api"},
		{Group: "apps", Kind: "Deployment", Namespace: "prod", Name: "api"},
		{Group: "policy", Kind: "PodDisruptionBudget", Namespace: "prod", Name: "api"},
		{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: "prod", Name: "api"},
		{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "prod", Name: "api"},
		{Group: "serving.knative.dev", Kind: "Service", Namespace: "prod", Name: "api"},
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration", Name: "w"},
	}
	want := slices.Clone(refs)

	var in Input
	for _, r := range slices.Backward(refs) {
		o := object.Object{Body: map[string]any{"apiVersion": r.Group + "/v1", "kind": r.Kind,
			"metadata": map[string]any{"name": r.Name, "namespace": r.Namespace}}}
		if r.Group == "" {
			o.Body["apiVersion"] = "v1"
		}
		if err := in.Desired.Add(o); err != nil {
			t.Fatal(err)
		}
		in.Observed = append(in.Observed, Observed{Ref: r, Merged: o})
	}
	if diff := cmp.Diff(want, planned(Make(in))); diff != "" {
		t.Errorf("creates: %s", diff)
	}

	gone := Input{Owned: refs}
	for _, o := range in.Observed {
		gone.Observed = append(gone.Observed, Observed{Ref: o.Ref, Live: o.Merged})
	}
	slices.Reverse(want)
	if diff := cmp.Diff(want, planned(Make(gone))); diff != "" {
		t.Errorf("deletes: %s", diff)
	}
}

// Whatever order the inputs come in, the bytes are the same.
func TestDeterministic(t *testing.T) {
	var objects []object.Object
	var observed []Observed
	for i := range 20 {
		o := parse(t, fmt.Sprintf(
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: prod}, data: {a: x, b: y, c: z}}`, i))
		objects = append(objects, o)
		observed = append(observed, Observed{Ref: o.Ref(), Live: o, Merged: with(with(o, "n", "data", "b"),
			"m", "data", "d")})
	}
	first, err := json.Marshal(Make(Input{Desired: set(t, objects...), Observed: observed}))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(objects)
	slices.Reverse(observed)
	second, err := json.Marshal(Make(Input{Desired: set(t, objects...), Observed: observed}))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("plans differ:\n%s\n%s", first, second)
	}
}

// What a plan would do counts, and not the commit that it came from.
func TestEqual(t *testing.T) {
	a := parse(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: prod}, spec: {replicas: 2}}`)
	in := Input{Environment: "prod", Commit: "c1", Desired: set(t, a),
		Observed: []Observed{{Ref: a.Ref(), Live: a, Merged: with(a, int64(3), "spec", "replicas")}}}
	made := Make(in)
	in.Commit = "c2"
	if !made.Equal(Make(in)) {
		t.Error("another commit with the same content is another plan")
	}
	in.Observed[0].Merged = with(a, int64(4), "spec", "replicas")
	if made.Equal(Make(in)) {
		t.Error("another change is the same plan")
	}
}

// text is a plan for people who read tests.
func text(p Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s stage %d", c.Action, c.Ref, c.step)
		if c.Reason != "" {
			b.WriteString(": " + c.Reason)
		}
		b.WriteString("\n")
		b.WriteString(fieldText(c.Fields))
	}
	if p.Complete {
		return b.String() + "complete"
	}
	return b.String() + "incomplete"
}

func fieldText(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		before, _ := json.Marshal(f.Before)
		after, _ := json.Marshal(f.After)
		fmt.Fprintf(&b, "  %s: %s → %s\n", f.Path, before, after)
	}
	return b.String()
}

func planned(p Plan) []object.Ref {
	var refs []object.Ref
	for _, c := range p.Changes {
		refs = append(refs, c.Ref)
	}
	return refs
}

func set(t *testing.T, objects ...object.Object) object.Set {
	t.Helper()
	var s object.Set
	for _, o := range objects {
		if err := s.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// parse reads one object; whole numbers become int64, as everywhere.
func parse(t *testing.T, text string) object.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		t.Fatal(err)
	}
	return object.Object{Body: whole(body).(map[string]any)}
}

func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// with is a copy of o with one value set.
func with(o object.Object, value any, path ...string) object.Object {
	c := o.Clone()
	m := c.Body
	for _, p := range path[:len(path)-1] {
		m = m[p].(map[string]any)
	}
	m[path[len(path)-1]] = value
	return c
}

// A server repeats values in what it has against an object, also where the object stays as it is.
func TestMaskedReasons(t *testing.T) {
	secret := object.Object{Body: map[string]any{"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "s"}, "stringData": map[string]any{"key": "hunter22"}}}
	refused := errors.New(`data: Invalid value: "hunter22": field is immutable`)
	for name, in := range map[string]Input{
		"blocked": {Observed: []Observed{{Ref: secret.Ref(), Live: secret, Err: refused}}},
		"going back": {Observed: []Observed{{Ref: secret.Ref(), Live: secret, Err: refused, Refused: true}},
			Rollback: true},
		"fields stay": {Observed: []Observed{{Ref: secret.Ref(), Live: secret, Merged: with(secret, "x", "type"),
			Unclaimed: "kubectl: " + refused.Error()}}},
	} {
		in.Desired = set(t, secret)
		if c := Make(in).Changes[0]; !strings.Contains(c.Reason, "immutable") ||
			strings.Contains(c.Reason, "hunter22") {
			t.Errorf("%s: %s", name, c.Reason)
		}
	}
}
