package cluster

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
)

// userResources run pods, or hold the templates of earlier ones.
var userResources = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"},
	{Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "apps", Version: "v1", Resource: "controllerrevisions"},
}

// Users lists the pods of a namespace, and the revisions that pods are made from. It fails with a
// *PermissionError when the user may not list them.
func Users(ctx context.Context, c *Cluster, namespace string) ([]object.Object, error) {
	lists, errs := make([][]object.Object, len(userResources)), make([]error, len(userResources))
	Each(len(userResources), func(i int) {
		list, err := c.dynamic.Resource(userResources[i]).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if errs[i] = err; err != nil {
			return
		}
		for j := range list.Items {
			lists[i] = append(lists[i], received(&list.Items[j]))
		}
	})
	var all []object.Object
	for i, err := range errs {
		if err != nil {
			return nil, c.Explain(ctx, "list "+userResources[i].Resource+" in",
				object.Ref{Kind: "Namespace", Name: namespace}, err)
		}
		all = append(all, lists[i]...)
	}
	return all, nil
}
