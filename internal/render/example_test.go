package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/project"
)

// The example renders from its own slipway.yaml, and differs between environments only where it should.
func TestExample(t *testing.T) {
	p, err := project.Open("../../examples/myapp")
	if err != nil {
		t.Fatal(err)
	}
	type facts struct {
		Objects                                string
		Image, Greeting, Level, CPU, Limit     any
		Replicas, MinReplicas, Liveness        any
		Env, Selector, Deadline, Spread, Grace any
	}
	got := map[string]facts{}
	for _, env := range p.Environments {
		r, err := Render(t.Context(), p, env, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Warnings) > 0 {
			t.Errorf("%s: %q", env.Name, r.Warnings)
		}
		var f facts
		var kinds []string
		for _, o := range r.Set.Objects() {
			kinds = append(kinds, o.Ref().Kind)
			if o.Origin.Line == 0 {
				t.Errorf("%s: %s has no line", env.Name, o.Ref())
			}
			switch o.Ref().Kind {
			case "ConfigMap":
				f.Greeting, f.Level = o.At("data", "GREETING"), o.At("data", "LOG_LEVEL")
			case "HorizontalPodAutoscaler":
				f.MinReplicas = o.At("spec", "minReplicas")
			case "Deployment":
				f.Replicas, f.Deadline = o.At("spec", "replicas"), o.At("spec", "progressDeadlineSeconds")
				f.Selector, f.Env = o.At("spec", "selector", "matchLabels", "env"), o.At("spec", "template", "metadata",
					"labels", "env")
				f.Grace = o.At("spec", "template", "spec", "terminationGracePeriodSeconds")
				spread, _ := o.At("spec", "template", "spec", "topologySpreadConstraints").([]any)
				f.Spread = len(spread)
				c := object.Object{Body: o.At("spec", "template", "spec", "containers").([]any)[0].(map[string]any)}
				f.Image, f.CPU, f.Limit = c.At("image"), c.At("resources", "requests", "cpu"),
					c.At("resources", "limits", "cpu")
				f.Liveness = c.At("livenessProbe", "periodSeconds")
				if c.At("livenessProbe", "httpGet", "path") != "/healthz" || c.At("securityContext",
					"readOnlyRootFilesystem") != true {
					t.Errorf("%s: %v", env.Name, c.Body)
				}
			}
		}
		f.Objects = strings.Join(kinds, " ")
		got[env.Name] = f
	}
	const base = "ServiceAccount ConfigMap Service Deployment"
	want := map[string]facts{
		"dev": {Objects: base, Image: "k3d-registry.localhost:5000/myapp:dev", Greeting: "hello from the laptop",
			Level: "debug",
			CPU:   "50m", Replicas: int64(1), Liveness: int64(5), Env: "dev", Deadline: int64(60), Spread: 0},
		"staging": {Objects: base, Image: "ghcr.io/acme/myapp:unreleased",
			Greeting: "hello from staging", Level: "info",
			CPU: "50m", Replicas: int64(2), Liveness: int64(5), Env: "staging", Deadline: int64(60), Spread: 0},
		"prod": {Objects: base + " PodDisruptionBudget HorizontalPodAutoscaler Ingress NetworkPolicy",
			Image:    "ghcr.io/acme/myapp:unreleased",
			Greeting: "hello from production", Level: "warn", CPU: "250m", Limit: "500m", MinReplicas: int64(3),
			Liveness: int64(15),
			Env:      "prod", Deadline: int64(60), Spread: 2, Grace: int64(30)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
