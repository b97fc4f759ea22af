package cluster

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
)

// Capabilities returns the version of the server ("v1.37.2") and the groups that it serves, with versions
// ("apps/v1") and kinds ("apps/v1/Deployment").
func Capabilities(ctx context.Context, c *Cluster) (version string, apis []string, err error) {
	is := c.kinds(ctx)
	info, err := is.serverVersion(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("read the server's version: %w", c.asTyped(ctx, object.Ref{}, err))
	}
	_, lists, err := is.discovery.ServerGroupsAndResourcesWithContext(ctx)
	if err != nil && len(lists) == 0 {
		return "", nil, fmt.Errorf("read what the server serves: %w", c.asTyped(ctx, object.Ref{}, err))
	}
	for _, list := range lists {
		apis = append(apis, list.GroupVersion)
		for _, r := range list.APIResources {
			apis = append(apis, list.GroupVersion+"/"+r.Kind)
		}
	}
	slices.Sort(apis)
	return info.GitVersion, slices.Compact(apis), nil
}

// Lookup reads one object, or lists all of a kind when name is empty, for the lookup function of Helm charts.
// An object that does not exist is an empty map.
func Lookup(ctx context.Context, c *Cluster, apiVersion, kind, namespace,
	name string) (map[string]any, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	ref := object.Ref{Group: gv.Group, Kind: kind, Namespace: namespace, Name: name}
	if name != "" {
		o, there, err := c.get(ctx, ref, gv.Version)
		if err != nil || !there {
			return map[string]any{}, c.Explain(ctx, "look up", ref, err)
		}
		return o.Body, nil
	}
	at, err := c.endpoint(ctx, ref, gv.Version)
	if err != nil {
		return nil, err
	}
	list, err := at.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.Explain(ctx, "list", ref, err)
	}
	return list.UnstructuredContent(), nil
}
