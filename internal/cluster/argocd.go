package cluster

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
)

var applications = schema.GroupVersionResource{
	Group: "argoproj.io", Version: "v1alpha1", Resource: "applications",
}

// Applications returns which Application of Argo CD, as "argocd/shop", says in its status that it keeps an
// object. It is empty where the cluster does not serve them, or the user may not list them.
func Applications(ctx context.Context, c *Cluster) (map[object.Ref]string, error) {
	groups, err := c.discovery.ServerGroupsWithContext(ctx)
	if err != nil || !slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool {
		return g.Name == applications.Group
	}) {
		return nil, nil // whatever else the caller asks for tells that the server is away
	}
	list, err := c.dynamic.Resource(applications).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.Explain(ctx, "list", object.Ref{Group: applications.Group, Kind: "Application"}, err)
	}
	kept := map[object.Ref]string{}
	for i := range list.Items {
		app := received(&list.Items[i])
		for _, r := range object.Mappings(app.At("status", "resources")) {
			text := func(key string) string { s, _ := r[key].(string); return s }
			ref := object.Ref{Group: text("group"), Kind: text("kind"), Namespace: text("namespace"),
				Name: text("name")}
			kept[ref] = app.Ref().Namespace + "/" + app.Ref().Name
		}
	}
	return kept, nil
}
