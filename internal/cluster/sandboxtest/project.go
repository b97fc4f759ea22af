package sandboxtest

import (
	"context"
	"fmt"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
)

// deployer is the service account that stands for a person who may edit one namespace.
const deployer = "deployer"

// Admin is how to reach the API server as somebody who may do everything.
func (s *Sandbox) Admin() (*rest.Config, error) {
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: s.Kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: "admin"}).ClientConfig()
}

// Project makes a namespace PREFIX-ENV for each environment, with a user who may edit that
// namespace only, and writes a kubeconfig whose contexts are called like the environments; the
// context "admin" may do everything.
func (s *Sandbox) Project(ctx context.Context, prefix, kubeconfig string, environments ...string) error {
	cfg, err := s.Admin()
	if err != nil {
		return err
	}
	cfg.QPS = -1
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	out, err := clientcmd.LoadFromFile(s.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the sandbox's kubeconfig: %w", err)
	}
	admin := out.Contexts["admin"]
	if admin == nil {
		return fmt.Errorf("%s has no context admin", s.Kubeconfig)
	}
	contexts := map[string]*clientapi.Context{"admin": admin}
	for _, env := range environments {
		namespace := prefix + "-" + env
		token, err := newEditor(ctx, cs, namespace)
		if err != nil {
			return fmt.Errorf("namespace %s: %w", namespace, err)
		}
		out.AuthInfos[namespace] = &clientapi.AuthInfo{Token: token}
		contexts[env] = &clientapi.Context{Cluster: admin.Cluster, AuthInfo: namespace, Namespace: namespace}
	}
	out.Contexts = contexts
	return clientcmd.WriteToFile(*out, kubeconfig)
}

func newEditor(ctx context.Context, cs kubernetes.Interface, namespace string) (string, error) {
	if _, err := cs.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: deployer}}
	if _, err := cs.CoreV1().ServiceAccounts(namespace).Create(ctx, sa, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: deployer},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: deployer, Namespace: namespace}},
	}
	if _, err := cs.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := awaitPermissions(ctx, cs, namespace); err != nil {
		return "", err
	}
	token, err := cs.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, deployer, &authv1.TokenRequest{},
		metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return token.Status.Token, nil
}

// expected are permissions of an editor: one of those that the role "edit" takes from "view", and one that it
// has of its own.
var expected = []authorizationv1.ResourceAttributes{
	{Verb: "list", Resource: "configmaps"},
	{Verb: "patch", Group: "apps", Resource: "deployments"},
}

// awaitPermissions waits until the server lets the deployer of a namespace edit it. It learns of a new
// binding, and of what the role "edit" collects from others, a moment after they were written.
func awaitPermissions(ctx context.Context, cs kubernetes.Interface, namespace string) error {
	group := "system:serviceaccounts"
	spec := authorizationv1.SubjectAccessReviewSpec{
		User:   "system:serviceaccount:" + namespace + ":" + deployer,
		Groups: []string{group, group + ":" + namespace, "system:authenticated"},
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, p := range expected {
		p.Namespace, spec.ResourceAttributes = namespace, &p
		for {
			review, err := cs.AuthorizationV1().SubjectAccessReviews().Create(ctx,
				&authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("wait for the permission to %s %s: %w", p.Verb, p.Resource, err)
			}
			if review.Status.Allowed {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s may not %s %s: %w", spec.User, p.Verb, p.Resource, ctx.Err())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}
