package cluster

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A certificate that a controller injects stays, whatever the source has in its place, and does not conflict.
func TestInjectedCertificate(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, placeholder := range []string{``, `, caBundle: Cg==`} {
		hook := strings.NewReplacer("$N", p.Namespace, "$CA", placeholder).Replace(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: $N, namespace: ""}
webhooks:
- name: a.$N.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  namespaceSelector: {matchLabels: {no: such}}
  clientConfig: {service: {name: a, namespace: $N}$CA}`)
		set, err := Place(t.Context(), p.admin, p.Parse(t, hook))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.admin.Apply(t.Context(), set.Objects()[0], true); err != nil {
			t.Fatal(err)
		}
		patch := []byte(`[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "YWJj"}]`)
		_, err = p.admin.typed.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(t.Context(),
			p.Namespace, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "cert-manager-cainjector"})
		if err != nil {
			t.Fatal(err)
		}
		for _, force := range []bool{false, true} {
			list, err := Observe(t.Context(), p.admin, set, ObserveOptions{Owned: set.Refs(), Force: force})
			if err != nil || list[0].Err != nil {
				t.Fatal(err, list[0].Err)
			}
			if err := p.admin.Apply(t.Context(), list[0].Desired, force); err != nil {
				t.Error(err)
			}
			live, _, err := p.admin.get(t.Context(), set.Refs()[0], "")
			hooks, _ := live.At("webhooks").([]any)
			client, _ := hooks[0].(map[string]any)["clientConfig"].(map[string]any)
			if err != nil || client["caBundle"] != "YWJj" || len(list[0].Injected) == 0 {
				t.Errorf("%q, force %v: %v, by %v, %v", placeholder, force, client, list[0].Injected, err)
			}
		}
	}
}
