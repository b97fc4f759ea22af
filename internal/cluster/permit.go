package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// Who is who the API server takes us for; the kubeconfig's name of the user where it does not say.
func (c *Cluster) Who(ctx context.Context) string {
	var review *authenticationv1.SelfSubjectReview
	err := c.call(ctx, func(ctx context.Context) (err error) {
		review, err = c.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	})
	if err != nil || review.Status.UserInfo.Username == "" {
		return c.user
	}
	return review.Status.UserInfo.Username
}

// need is one permission, and the objects that need it.
type need struct {
	Permission
	names []string
}

// Permit asks whether we may do all that the changes need, and keep records and locks besides.
// Everything that is missing is in one *PermissionError.
func (c *Cluster) Permit(ctx context.Context, changes []plan.Change) error {
	needs, err := c.needs(changes)
	if err != nil {
		return err
	}
	denied := make([]bool, len(needs))
	failed := make([]error, len(needs))
	each(len(needs), func(i int) { denied[i], failed[i] = c.denied(ctx, needs[i]) })
	if err := errors.Join(failed...); err != nil {
		return err
	}
	var missing []Permission
	for i, n := range needs {
		if denied[i] {
			missing = append(missing, n.Permission)
		}
	}
	if missing == nil {
		return nil
	}
	return &PermissionError{Context: c.context, User: c.Who(ctx), Missing: missing}
}

// ours is what records and locks need.
var ours = []Permission{
	{Verb: "get", Resource: "secrets"}, {Verb: "list", Resource: "secrets"}, {Verb: "create", Resource: "secrets"},
	{Verb: "update", Resource: "secrets"}, {Verb: "delete", Resource: "secrets"},
	{Verb: "get", Group: "coordination.k8s.io", Resource: "leases"},
	{Verb: "create", Group: "coordination.k8s.io", Resource: "leases"},
	{Verb: "update", Group: "coordination.k8s.io", Resource: "leases"},
}

func (c *Cluster) needs(changes []plan.Change) ([]need, error) {
	names := map[Permission][]string{}
	for _, p := range ours {
		p.Namespace = c.namespace
		names[p] = nil
	}
	for _, change := range changes {
		verbs := verbsOf(change.Action)
		if verbs == nil {
			continue
		}
		m, err := c.mapping(change.Ref, "")
		var unknown *UnknownKindError
		if errors.As(err, &unknown) {
			continue // its definition comes with the same deploy, or it is gone
		}
		if err != nil {
			return nil, err
		}
		for _, verb := range verbs {
			p := Permission{Verb: verb, Group: m.Resource.Group, Resource: m.Resource.Resource}
			if m.Scope.Name() == meta.RESTScopeNameNamespace {
				p.Namespace = change.Ref.Namespace
			}
			names[p] = append(names[p], change.Ref.Name)
		}
	}
	needs := make([]need, 0, len(names))
	for p, n := range names {
		needs = append(needs, need{p, n})
	}
	slices.SortFunc(needs, func(a, b need) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Verb, b.Verb))
	})
	return needs, nil
}

// verbsOf are what an action needs of the API server. Server-side apply creates by patching, and
// needs create besides.
func verbsOf(a plan.Action) []string {
	switch a {
	case plan.Create:
		return []string{"get", "create", "patch"}
	case plan.Update:
		return []string{"get", "patch"}
	case plan.Delete:
		return []string{"get", "delete"}
	}
	return nil
}

// denied asks for all names at once, and for each where that is denied: a role may name its
// objects.
func (c *Cluster) denied(ctx context.Context, n need) (bool, error) {
	allowed, err := c.may(ctx, n.Permission, "")
	if err != nil || allowed {
		return false, err
	}
	for _, name := range n.names {
		allowed, err := c.may(ctx, n.Permission, name)
		if err != nil || !allowed {
			return !allowed, err
		}
	}
	return len(n.names) == 0, nil
}

func (c *Cluster) may(ctx context.Context, p Permission, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: p.Verb, Group: p.Group, Resource: p.Resource, Namespace: p.Namespace, Name: name,
		},
	}}
	err := c.call(ctx, func(ctx context.Context) error {
		answer, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil {
			review.Status = answer.Status
		}
		return err
	})
	return review.Status.Allowed, c.explain("ask for permission to "+p.Verb, object.Ref{Kind: p.Resource, Namespace: p.Namespace, Name: name}, err)
}
