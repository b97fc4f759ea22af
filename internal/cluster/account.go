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

// forbidden says that a user may not act as the account, and which Role would allow it.
func (a account) forbidden(user, verb string) error {
	return fmt.Errorf("act as ServiceAccount %s/%s: user %q may not %s it: bind a Role of namespace %s with "+
		`the rule {apiGroups: [""], resources: [serviceaccounts], resourceNames: [%s], verbs: [get, impersonate]}`,
		a.namespace, a.name, user, verb, a.namespace, a.name)
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
		return a.forbidden(username(ctx, asUser), "impersonate")
	}
	_, err = a.self.typed.CoreV1().ServiceAccounts(a.namespace).Get(ctx, a.name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return a.forbidden(username(ctx, asUser), "get")
	case apierrors.IsNotFound(err):
		return fmt.Errorf("act as ServiceAccount %s/%s: it does not exist: run `kubectl create serviceaccount %s "+
			"--namespace %s`", a.namespace, a.name, a.name, a.namespace)
	}
	return c.Explain(ctx, "get", ref, err)
}
