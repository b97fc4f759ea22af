package cluster

import (
	"context"
	"errors"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"slipway/internal/object"
)

// Place sets the namespace that each object would be applied to: a namespaced object without one gets that of
// the cluster, an object of a cluster-wide kind loses its own (renderers set it, API servers reject it). A
// kind that the server does not serve and the set does not define counts as namespaced; Observe reports it.
func Place(ctx context.Context, c *Cluster, set object.Set) (object.Set, error) {
	definitions := DefinedKinds(set)
	return set.Map(func(o object.Object) (object.Object, error) {
		namespaced, err := isNamespaced(ctx, c, o, definitions)
		if err != nil {
			return object.Object{}, c.Explain(ctx, "place", o.Ref(), err)
		}
		if namespaced == (o.Ref().Namespace != "") {
			return o, nil
		}
		o = o.Detached()
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

func isNamespaced(
	ctx context.Context, c *Cluster, o object.Object, definitions map[schema.GroupKind]Definition,
) (bool, error) {
	m, err := c.mapping(ctx, o.Ref(), version(o))
	if _, unknown := errors.AsType[*UnknownKindError](err); unknown {
		d, ok := definitions[groupKind(o.Ref())]
		return !ok || d.namespaced, nil
	}
	return err == nil && m.Scope.Name() == meta.RESTScopeNameNamespace, err
}

// Definition is what a CustomResourceDefinition says about its kind.
type Definition struct {
	Ref        object.Ref
	namespaced bool
}

// DefinedKinds returns the kinds that the CustomResourceDefinitions of a set define.
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

// mapping finds the resource of a kind, in the preferred version when version is empty. It fails with an
// *UnknownKindError when the kind is not served.
func (c *Cluster) mapping(ctx context.Context, ref object.Ref, version string) (*meta.RESTMapping, error) {
	is := c.kinds(ctx)
	m, err := is.find(ctx, groupKind(ref), version)
	if meta.IsNoMatchError(err) && is.refresh(ctx, latest(c.opened, time.Now().Add(-unknownTime))) {
		m, err = is.find(ctx, groupKind(ref), version)
	}
	if !meta.IsNoMatchError(err) {
		return m, err
	}
	unknown := &UnknownKindError{
		APIVersion: ref.Group, Kind: ref.Kind, Err: failedDiscovery(ctx, is.discovery, ref.Group),
	}
	if version != "" {
		unknown.APIVersion = schema.GroupVersion{Group: ref.Group, Version: version}.String()
	}
	return nil, unknown
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Serves asks the server, and not the cache, whether it serves a kind.
func (c *Cluster) Serves(ctx context.Context, kind schema.GroupKind) error {
	c.served.refresh(ctx, time.Now())
	_, err := c.mapping(ctx, object.Ref{Group: kind.Group, Kind: kind.Kind}, "")
	return err
}

// failedDiscovery returns why discovery of a group failed; nil when it did not. An extension API that is down
// must not make its kinds look unknown.
func failedDiscovery(
	ctx context.Context, d discovery.ServerResourcesInterfaceWithContext, group string,
) error {
	_, _, err := d.ServerGroupsAndResourcesWithContext(ctx)
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

// endpoint returns the client for objects like ref.
func (c *Cluster) endpoint(
	ctx context.Context, ref object.Ref, version string,
) (dynamic.ResourceInterface, error) {
	m, err := c.mapping(ctx, ref, version)
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
