package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// account is a ServiceAccount that a user acts as.
type account struct {
	namespace, name string
	self            *link // as the user itself
}

// username is the name that the API server knows a ServiceAccount by.
func (a account) username() string { return accountPrefix + a.namespace + ":" + a.name }

// NoAccountError says that the ServiceAccount to act as does not exist.
type NoAccountError struct{ Namespace, Name string }

func (e *NoAccountError) Error() string {
	return fmt.Sprintf("act as ServiceAccount %s/%s: it does not exist: run `kubectl create serviceaccount %s "+
		"--namespace %s`", e.Namespace, e.Name, e.Name, e.Namespace)
}

// ImpersonationError says that a user may not act as a ServiceAccount, and which Role would allow it.
type ImpersonationError struct{ User, Verb, Namespace, Name string }

func (e *ImpersonationError) Error() string {
	return fmt.Sprintf("act as ServiceAccount %s/%s: user %q may not %s it: bind a Role of namespace %s with "+
		`the rule {apiGroups: [""], resources: [serviceaccounts], resourceNames: [%s], verbs: [get, impersonate]}`,
		e.Namespace, e.Name, e.User, e.Verb, e.Namespace, e.Name)
}

// AsUser returns the cluster as the user itself, who may act as a ServiceAccount.
func (c *Cluster) AsUser() *Cluster {
	if c.account == nil {
		return c
	}
	other := *c
	other.link, other.account = c.account.self, nil
	return &other
}

// VerifyAccount fails where the ServiceAccount that the cluster acts as does not exist, or the user may not
// act as it: the API server itself lets users act as accounts that do not exist. Without an account it sends
// nothing.
func VerifyAccount(ctx context.Context, c *Cluster) error {
	if c.account == nil {
		return nil
	}
	a := *c.account
	ref := object.Ref{Kind: "ServiceAccount", Namespace: a.namespace, Name: a.name}
	asUser := c.AsUser()
	may, err := allowed(ctx, asUser, Permission{Verb: "impersonate", Resource: "serviceaccounts",
		Namespace: a.namespace}, a.name)
	if err != nil {
		return c.Explain(ctx, "ask for permission to impersonate", ref, err)
	}
	if !may {
		return &ImpersonationError{username(ctx, asUser), "impersonate", a.namespace, a.name}
	}
	_, err = a.self.typed.CoreV1().ServiceAccounts(a.namespace).Get(ctx, a.name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return &ImpersonationError{username(ctx, asUser), "get", a.namespace, a.name}
	case apierrors.IsNotFound(err):
		return &NoAccountError{a.namespace, a.name}
	}
	return c.Explain(ctx, "get", ref, err)
}
