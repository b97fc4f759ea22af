package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// Quotas lists the ResourceQuotas of the cluster's namespace that count all pods. allowed is false when the
// user may not list them.
func Quotas(ctx context.Context, c *Cluster) (quotas []plan.Quota, allowed bool, err error) {
	list, err := c.typed.CoreV1().ResourceQuotas(c.namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if apierrors.IsForbidden(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, c.Explain(ctx, "list", object.Ref{Kind: "ResourceQuota", Namespace: c.namespace}, err)
	}
	for _, q := range list.Items {
		if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
			continue
		}
		quotas = append(quotas, plan.Quota{
			Ref:  object.Ref{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name},
			Hard: quantities(q.Status.Hard), Used: quantities(q.Status.Used),
		})
	}
	return quotas, true, nil
}

func quantities(list corev1.ResourceList) map[string]resource.Quantity {
	out := make(map[string]resource.Quantity, len(list))
	for name, q := range list {
		out[string(name)] = q
	}
	return out
}
