package deploy

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/object"
	"slipway/internal/project"
)

func TestFit(t *testing.T) {
	ref := object.Ref{Group: "apps", Kind: "Deployment", Name: "api"}
	mixed := map[string]int{"linux/amd64": 3, "linux/arm64": 2}
	for name, c := range map[string]struct {
		has  []string
		on   map[string]int
		says []string
		fits bool
	}{
		"for all": {has: []string{"linux/amd64", "linux/arm64/v8"}, on: mixed, fits: true},
		"for some": {has: []string{"linux/amd64"}, on: mixed, fits: true,
			says: []string{"warning: Deployment api: acme/api is for linux/amd64 only, and 2 of the 5 nodes that it " +
				"may run on are linux/arm64: a nodeSelector on kubernetes.io/arch keeps it off them"}},
		"for none":            {has: []string{"windows/amd64", "linux/s390x"}, on: mixed},
		"what older ones run": {has: []string{"linux/386", "linux/arm/v7"}, on: mixed, fits: true},
		"not the other way":   {has: []string{"linux/arm64"}, on: map[string]int{"linux/arm": 1}},
		"no node yet":         {has: []string{"linux/s390x"}, on: nil, fits: true},
		"unknown platforms":   {on: mixed, fits: true},
	} {
		var said []string
		target := Target{Environment: project.Environment{Name: "prod"}, Notify: func(e Event) {
			said = append(said, e.Message)
		}}
		err := fitPod(target, ref, "acme/api", c.has, c.on)
		if errors.As(err, new(*PlatformError)) == c.fits {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.says, said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPodsAtAnyDepth(t *testing.T) {
	pod := map[string]any{
		"initContainers": []any{map[string]any{"image": "a"}},
		"containers":     []any{map[string]any{"image": "b"}, map[string]any{"image": "a"}, map[string]any{}},
	}
	found := pods(
		map[string]any{"spec": map[string]any{"jobs": []any{map[string]any{"template": map[string]any{"spec": pod}}}}})
	if diff := cmp.Diff([]map[string]any{pod}, found); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, images(pod)); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}
