package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// storage is what writing records and locks takes. Reading them has succeeded before.
var storage = []Permission{
	{Verb: "create", Resource: "secrets"},
	{Verb: "update", Resource: "secrets"},
	{Verb: "delete", Resource: "secrets"},
	{Verb: "create", Group: "coordination.k8s.io", Resource: "leases"},
	{Verb: "update", Group: "coordination.k8s.io", Resource: "leases"},
}

// verbs are the permissions of an action that Observe has not tried. Server-side apply creates by patching,
// and needs create as well.
var verbs = map[plan.Action][]string{
	plan.Create:  {"create", "patch"},
	plan.Update:  {"patch"},
	plan.Delete:  {"delete"},
	plan.Replace: {"delete"},
	plan.Run:     {"create", "patch", "delete"},
}

// Permit asks whether the user may make the changes, and keep records and locks besides. It fails with one
// *PermissionError that names everything that is missing. A create or an update that Observe verified needs
// no question: a dry run takes the same permissions.
func Permit(ctx context.Context, c *Cluster, changes []plan.Change) error {
	names, err := needed(ctx, c, changes)
	if err != nil {
		return c.Explain(ctx, "ask for permissions in", object.Ref{Kind: "Namespace", Name: c.namespace}, err)
	}
	needs := slices.SortedFunc(maps.Keys(names), func(a, b Permission) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Verb, b.Verb))
	})
	rules := rulesIn(ctx, c, c.namespace)
	allowed, failed := make([]bool, len(needs)), make([]error, len(needs))
	Each(len(needs), func(i int) {
		p := needs[i]
		if allowed[i] = p.Namespace == c.namespace && slices.ContainsFunc(rules, p.isIn); !allowed[i] {
			allowed[i], failed[i] = may(ctx, c, p, names[p])
		}
	})
	var missing []Permission
	for i, p := range needs {
		if failed[i] != nil {
			return c.Explain(ctx, "ask for permission to "+p.Verb, object.Ref{Kind: p.Resource,
				Namespace: p.Namespace}, failed[i])
		}
		if !allowed[i] {
			missing = append(missing, p)
		}
	}
	if missing == nil {
		return nil
	}
	return &PermissionError{Context: c.context, User: username(ctx, c), Missing: missing}
}

// needed returns the permissions that the changes need, each with the names of its objects.
func needed(ctx context.Context, c *Cluster, changes []plan.Change) (map[Permission][]string, error) {
	names := map[Permission][]string{}
	for _, p := range storage {
		p.Namespace = c.namespace
		names[p] = nil
	}
	for _, change := range changes {
		if verbs[change.Action] == nil {
			continue
		}
		m, err := c.mapping(ctx, change.Ref, "")
		if _, unknown := errors.AsType[*UnknownKindError](err); unknown {
			continue // its definition comes with the same deploy, or it is gone
		}
		if err != nil {
			return nil, err
		}
		p := Permission{Group: m.Resource.Group, Resource: m.Resource.Resource}
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			p.Namespace = change.Ref.Namespace
		}
		for _, verb := range verbs[change.Action] {
			p.Verb = verb
			names[p] = append(names[p], change.Ref.Name)
		}
	}
	return names, nil
}

// rulesIn returns what the user may do in a namespace, whichever objects it is about: one answer for most
// questions. It returns none where the server does not know all of its rules: one that it does not know may
// deny.
func rulesIn(ctx context.Context, c *Cluster, namespace string) []authorizationv1.ResourceRule {
	review := &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}
	answer, err := c.typed.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, review,
		metav1.CreateOptions{})
	if err != nil || answer.Status.Incomplete || answer.Status.EvaluationError != "" {
		return nil // each is asked for
	}
	return slices.DeleteFunc(answer.Status.ResourceRules, func(r authorizationv1.ResourceRule) bool {
		return len(r.ResourceNames) > 0
	})
}

// isIn says that a rule grants the permission.
func (p Permission) isIn(r authorizationv1.ResourceRule) bool {
	grants := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, "*")
	}
	return grants(r.Verbs, p.Verb) && grants(r.APIGroups, p.Group) && grants(r.Resources, p.Resource)
}

// may asks for all names at once, and for each name when that is denied: a role may name its objects.
func may(ctx context.Context, c *Cluster, p Permission, names []string) (bool, error) {
	all, err := allowed(ctx, c, p, "")
	if err != nil || all {
		return all, err
	}
	for _, name := range names {
		if one, err := allowed(ctx, c, p, name); err != nil || !one {
			return false, err
		}
	}
	return len(names) > 0, nil
}

func allowed(ctx context.Context, c *Cluster, p Permission, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: p.Verb, Group: p.Group, Resource: p.Resource, Namespace: p.Namespace, Name: name,
		},
	}}
	answer, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review,
		metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// Username returns the name of the user as the API server knows it; empty where it does not say.
func Username(ctx context.Context, c *Cluster) string {
	review, err := c.typed.AuthenticationV1().SelfSubjectReviews().Create(ctx,
		&authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return review.Status.UserInfo.Username
}

// username returns the name of the user as the API server knows it, or as the kubeconfig does.
func username(ctx context.Context, c *Cluster) string {
	return cmp.Or(Username(ctx, c), c.user)
}
