package cluster

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"slipway/internal/object"
)

// Place puts each object where it would be applied: a namespaced object that names no namespace
// gets the cluster's, an object of a cluster-wide kind loses the one that it names (renderers put
// it there, API servers refuse it). A kind that is not served, nor defined in the set, counts as
// namespaced; Observe says what is wrong with it.
func Place(ctx context.Context, c *Cluster, set object.Set) (object.Set, error) {
	definitions := DefinedKinds(set)
	return set.Map(func(o object.Object) (object.Object, error) {
		namespaced, err := isNamespaced(c, o, definitions)
		if err != nil {
			return object.Object{}, c.Explain(ctx, "place", o.Ref(), err)
		}
		if namespaced == (o.Ref().Namespace != "") {
			return o, nil
		}
		o = o.Clone()
		metadata, ok := o.Body["metadata"].(map[string]any)
		if !ok {
			return o, nil // the server says what is wrong with it
		}
		delete(metadata, "namespace")
		if namespaced {
			metadata["namespace"] = c.namespace
		}
		return o, nil
	})
}

func isNamespaced(c *Cluster, o object.Object, definitions map[schema.GroupKind]Definition) (bool, error) {
	m, err := c.mapping(o.Ref(), version(o))
	if _, unknown := errors.AsType[*UnknownKindError](err); unknown {
		d, ok := definitions[groupKind(o.Ref())]
		return !ok || d.namespaced, nil
	}
	return err == nil && m.Scope.Name() == meta.RESTScopeNameNamespace, err
}

// Definition is what a CustomResourceDefinition of the set says about its kind.
type Definition struct {
	Ref        object.Ref
	namespaced bool
}

// DefinedKinds are the kinds that the CustomResourceDefinitions of a set define.
func DefinedKinds(set object.Set) map[schema.GroupKind]Definition {
	found := map[schema.GroupKind]Definition{}
	for _, o := range set.Objects() {
		ref := o.Ref()
		if ref.Kind != "CustomResourceDefinition" || ref.Group != "apiextensions.k8s.io" {
			continue
		}
		group, _ := o.At("spec", "group").(string)
		kind, _ := o.At("spec", "names", "kind").(string)
		found[schema.GroupKind{Group: group, Kind: kind}] = Definition{Ref: ref, namespaced: o.At("spec",
			"scope") != "Cluster"}
	}
	return found
}

// mapping finds the resource of a kind; without a version the one that the server prefers.
// A kind that is not served is an *UnknownKindError.
func (c *Cluster) mapping(ref object.Ref, version string) (*meta.RESTMapping, error) {
	m, err := c.mapper.RESTMapping(groupKind(ref), version)
	if !meta.IsNoMatchError(err) {
		return m, err
	}
	unknown := &UnknownKindError{
		APIVersion: ref.Group, Kind: ref.Kind, Err: failedDiscovery(c.discovery, ref.Group),
	}
	if version != "" {
		unknown.APIVersion = schema.GroupVersion{Group: ref.Group, Version: version}.String()
	}
	return nil, unknown
}

// Serves asks the server, and not what it said before, whether it serves a kind.
func (c *Cluster) Serves(kind schema.GroupKind) error {
	c.mapper.Reset()
	_, err := c.mapping(object.Ref{Group: kind.Group, Kind: kind.Kind}, "")
	return err
}

// failedDiscovery says why a group could not be asked, nil when it could: an extension API that is down
// must not make its objects look as if their kind did not exist.
func failedDiscovery(d discovery.DiscoveryInterface, group string) error {
	_, _, err := d.ServerGroupsAndResources()
	failed, _ := errors.AsType[*discovery.ErrGroupDiscoveryFailed](err)
	if failed == nil {
		return nil
	}
	for gv, err := range failed.Groups {
		if gv.Group == group {
			return err
		}
	}
	return nil
}

// endpoint is where objects like ref are served.
func (c *Cluster) endpoint(ref object.Ref, version string) (dynamic.ResourceInterface, error) {
	m, err := c.mapping(ref, version)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(m.Resource).Namespace(ref.Namespace), nil
	}
	return c.dynamic.Resource(m.Resource), nil
}

func groupKind(ref object.Ref) schema.GroupKind {
	return schema.GroupKind{Group: ref.Group, Kind: ref.Kind}
}

func version(o object.Object) string {
	_, v, found := strings.Cut(o.APIVersion(), "/")
	if !found {
		return o.APIVersion()
	}
	return v
}
