package cluster

import (
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
)

// ListServed returns the objects of all namespaces of some resources, each as RESOURCE.GROUP. It leaves out
// those that the cluster does not serve, and those that the user may not list.
func ListServed(ctx context.Context, c *Cluster, resources ...string) ([]object.Object, error) {
	groups, err := c.kinds(ctx).discovery.ServerGroupsWithContext(ctx)
	if err != nil {
		return nil, nil // whatever else the caller asks for tells that the server is away
	}
	var all []object.Object
	for _, r := range resources {
		name, group, _ := strings.Cut(r, ".")
		i := slices.IndexFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == group })
		if i < 0 {
			continue
		}
		at := schema.GroupVersionResource{
			Group: group, Version: groups.Groups[i].PreferredVersion.Version, Resource: name,
		}
		list, err := c.dynamic.Resource(at).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, c.Explain(ctx, "list", object.Ref{Group: group, Kind: name}, err)
		}
		for j := range list.Items {
			all = append(all, received(&list.Items[j]))
		}
	}
	return all, nil
}
