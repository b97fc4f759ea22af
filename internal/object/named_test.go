package object

import "testing"

func TestKinds(t *testing.T) {
	crd := Object{Body: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"spec": map[string]any{"group": "example.com", "names": map[string]any{"kind": "Ox", "plural": "oxen",
			"singular": "ox", "shortNames": []any{"o"}}}}}
	kinds := KindsOf([]Object{crd})
	refs := map[string]Ref{
		"deployment": {Group: "apps", Kind: "Deployment"}, "ingress": {Group: "networking.k8s.io", Kind: "Ingress"},
		"policy": {Group: "networking.k8s.io", Kind: "NetworkPolicy"}, "config": {Kind: "ConfigMap"},
		"endpoints": {Kind: "Endpoints"}, "ox": {Group: "example.com", Kind: "Ox"},
		"other ox": {Group: "example.org", Kind: "Ox"}, "gateway": {Group: "gateway.networking.k8s.io", Kind: "Gateway"},
	}
	for word, want := range map[string][]string{
		"deploy": {"deployment"}, "Deployments": {"deployment"}, "DEPLOYMENT": {"deployment"},
		"deployments.apps": {"deployment"}, "deployment.v1.apps": {"deployment"}, "deployments.batch": nil,
		"ing": {"ingress"}, "ingresses": {"ingress"}, "ingresses.networking.k8s.io": {"ingress"},
		"netpol": {"policy"}, "networkpolicies": {"policy"}, "cm": {"config"}, "configmaps": {"config"},
		"configmaps.v1": {"config"}, "ep": {"endpoints"}, "endpoints": {"endpoints"}, "gateways": {"gateway"},
		"ox": {"ox", "other ox"}, "oxen": {"ox"}, "o": {"ox"}, "ox.example.org": {"other ox"}, "": nil, "d": nil,
	} {
		for name, ref := range refs {
			expected := false
			for _, w := range want {
				expected = expected || w == name
			}
			if kinds.Is(word, ref) != expected {
				t.Errorf("%q for %s: %v", word, ref.Kind, !expected)
			}
		}
	}
}

func TestFits(t *testing.T) {
	ref := Ref{Group: "apps", Kind: "Deployment", Name: "prod-web"}
	for pattern, want := range map[string]bool{
		"Deployment/web": true, "deploy/w*": true, "*/web": true, "Deploy*/web": true, "deployments.apps/web": true,
		"Deployment/prod-web": false, "sts/web": false, "deploy": false,
	} {
		if Fits(pattern, ref, "web") != want {
			t.Errorf("%s: %v", pattern, !want)
		}
	}
}
