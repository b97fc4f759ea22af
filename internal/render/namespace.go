package render

import (
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"slipway/internal/object"
)

// into puts a chart's object into the namespace of the chart's release, as helm install does with objects
// without a namespace. Only the cluster knows whether an unknown kind is namespaced.
func (s *piece) into(o object.Object, namespace string) object.Object {
	if namespace == "" || o.Ref().Namespace != "" {
		return o
	}
	namespaced, known := openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: o.APIVersion(), Kind: o.Ref().Kind})
	if !known {
		s.warn("%s: %s has no namespace and is not put into %s: it is not known whether its kind is namespaced",
			o.Origin, o.Ref(), namespace)
	}
	if !namespaced || !known {
		return o
	}
	o = o.Clone()
	meta, _ := o.Body["metadata"].(map[string]any)
	meta["namespace"] = namespace
	return o
}
