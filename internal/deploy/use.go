package deploy

import (
	"context"
	"errors"
	"slices"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// listUsers lists what may use the live objects that left the set; nothing when no such object may be used.
// Where listing is not allowed it returns why.
func listUsers(ctx context.Context, t Target, set object.Set, observed []plan.Observed) (
	users []object.Object, unlisted string, err error) {
	var namespaces []string
	for _, o := range observed {
		if _, wanted := set.Get(o.Ref); wanted || o.Live.Body == nil || !plan.MayBeUsed(o.Ref) ||
			slices.Contains(namespaces, o.Ref.Namespace) {
			continue
		}
		namespaces = append(namespaces, o.Ref.Namespace)
	}
	for _, namespace := range namespaces {
		list, err := cluster.Users(ctx, t.Cluster, namespace)
		if denied := (*cluster.PermissionError)(nil); errors.As(err, &denied) {
			return nil, denied.Error(), nil
		}
		if err != nil {
			return nil, "", err
		}
		users = append(users, list...)
	}
	return users, "", nil
}
