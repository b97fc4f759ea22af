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

// Place puts each object where it would be applied: a namespaced object that names no namespace
// gets the cluster's, an object of a cluster-wide kind loses the one that it names (renderers put
// it there, API servers refuse it). A kind that is not served, nor defined in the set, counts as
// namespaced; Observe says what is wrong with it.
func (c *Cluster) Place(ctx context.Context, set object.Set) (object.Set, error) {
	if err := ctx.Err(); err != nil {
		return object.Set{}, err
	}
	definitions := definitionsOf(set)
	return set.Map(func(o object.Object) (object.Object, error) {
		namespaced, err := c.namespaced(o, definitions)
		if err != nil {
			return object.Object{}, err
		}
		named := o.Ref().Namespace != ""
		if namespaced == named {
			return o, nil
		}
		o = o.Clone()
		metadata, ok := o.Body["metadata"].(map[string]any)
		if !ok {
			return o, nil
		}
		if namespaced {
			metadata["namespace"] = c.namespace
		} else {
			delete(metadata, "namespace")
		}
		return o, nil
	})
}

func (c *Cluster) namespaced(o object.Object, definitions map[schema.GroupKind]definition) (bool, error) {
	m, err := c.mapping(o.Ref(), version(o))
	var unknown *UnknownKindError
	switch {
	case err == nil:
		return m.Scope.Name() == meta.RESTScopeNameNamespace, nil
	case errors.As(err, &unknown):
		d, ok := definitions[groupKind(o.Ref())]
		return !ok || d.namespaced, nil
	}
	return false, err
}

// definition is what a CustomResourceDefinition of the set says about its kind.
type definition struct {
	ref        object.Ref
	namespaced bool
}

func definitionsOf(set object.Set) map[schema.GroupKind]definition {
	found := map[schema.GroupKind]definition{}
	for _, o := range set.Objects() {
		ref := o.Ref()
		if ref.Kind != "CustomResourceDefinition" || ref.Group != "apiextensions.k8s.io" {
			continue
		}
		group, _ := o.At("spec", "group").(string)
		kind, _ := o.At("spec", "names", "kind").(string)
		found[schema.GroupKind{Group: group, Kind: kind}] = definition{ref: ref, namespaced: o.At("spec", "scope") != "Cluster"}
	}
	return found
}

// mapping finds the resource of a kind; without a version the one that the server prefers.
// A kind that is not served is an *UnknownKindError.
func (c *Cluster) mapping(ref object.Ref, version string) (*meta.RESTMapping, error) {
	var versions []string
	if version != "" {
		versions = []string{version}
	}
	c.discovered.Lock()
	if c.discovered.at.IsZero() {
		c.discovered.at = time.Now()
	}
	c.discovered.Unlock()
	m, err := c.mapper.RESTMapping(groupKind(ref), versions...)
	if meta.IsNoMatchError(err) && c.rediscover() {
		m, err = c.mapper.RESTMapping(groupKind(ref), versions...)
	}
	switch {
	case err == nil:
		c.answered.Store(true)
		return m, nil
	case !meta.IsNoMatchError(err):
		return nil, c.classify("discover", ref, err)
	}
	gv := schema.GroupVersion{Group: ref.Group, Version: version}
	unknown := &UnknownKindError{APIVersion: gv.String(), Kind: ref.Kind, Err: c.silent(ref.Group)}
	if version == "" {
		unknown.APIVersion = ref.Group
	}
	return nil, unknown
}

// rediscover forgets what the server serves, unless that was asked just now: a set full of unknown
// kinds must not ask once for each.
func (c *Cluster) rediscover() bool {
	c.discovered.Lock()
	defer c.discovered.Unlock()
	if time.Since(c.discovered.at) < time.Second {
		return false
	}
	c.mapper.Reset()
	c.discovered.at = time.Now()
	return true
}

// Rediscover forgets which kinds the server serves. For when a CustomResourceDefinition has just
// been established.
func (c *Cluster) Rediscover() {
	c.discovered.Lock()
	defer c.discovered.Unlock()
	c.mapper.Reset()
	c.discovered.at = time.Now()
}

// silent says why a group could not be asked, nil when it could: an extension API that is down
// must not make its objects look as if their kind did not exist.
func (c *Cluster) silent(group string) error {
	_, _, err := c.discovery.ServerGroupsAndResources()
	var failed *discovery.ErrGroupDiscoveryFailed
	if errors.As(err, &failed) {
		for gv, err := range failed.Groups {
			if gv.Group == group {
				return err
			}
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
	return c.at(m, ref.Namespace), nil
}

func (c *Cluster) at(m *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(m.Resource).Namespace(namespace)
	}
	return c.dynamic.Resource(m.Resource)
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
