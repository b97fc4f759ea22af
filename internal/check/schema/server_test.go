package schema_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/object"
)

// A real API server refuses what is called an error here, and takes the rest.
func TestServerAgrees(t *testing.T) {
	box, err := sandboxtest.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Stop)
	cfg, err := box.Admin()
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for name, c := range cases() {
		list, err := object.Read(strings.NewReader(c.text), "x.yaml")
		if err != nil {
			t.Fatal(err)
		}
		o := list[0]
		if c.kube != "" || strings.HasPrefix(c.want, "unchecked") || o.Ref().Group == "example.com" {
			continue // of another version, or nothing that the server knows
		}
		if name == "an unknown field without value" {
			continue // clients may drop nulls before the server sees them
		}
		asked++
		gv, err := schema.ParseGroupVersion(o.APIVersion())
		if err != nil {
			t.Fatal(err)
		}
		plural, _ := meta.UnsafeGuessKindToResource(gv.WithKind(o.Ref().Kind))
		var r dynamic.ResourceInterface = client.Resource(plural).Namespace("default")
		if k := o.Ref().Kind; k == "ClusterRole" || k == "CustomResourceDefinition" || k == "PodSecurityPolicy" {
			r = client.Resource(plural)
		}
		_, err = r.Create(t.Context(), &unstructured.Unstructured{Object: o.Body},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: "Strict"})
		if wrong := c.want != ""; wrong != (err != nil) {
			t.Errorf("%s: here it is %q, and for the API server %v", name, c.want, err)
		}
	}
	if asked < 60 {
		t.Errorf("only %d objects", asked)
	}
}
