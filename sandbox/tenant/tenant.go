// Package tenant gives each environment of the sandbox its namespace, and a user who may edit what
// is in that namespace and nothing else.
package tenant

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Names of the namespaces.
var Names = []string{"dev", "staging", "prod"}

// User of a namespace.
func User(name string) string { return name + "-user" }

// Ensure returns when every namespace is there and its user can deploy to it.
func Ensure(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := client.RbacV1().ClusterRoles().Create(ctx, metricsReader(),
		metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	for _, name := range Names {
		// Tried again, since it may be on its way out, deleted just before the last stop, and
		// since the controllers that complete it have only started.
		for {
			err := ensure(ctx, client, name)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("namespace %s: %w", name, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func ensure(ctx context.Context, client kubernetes.Interface, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return err
	}
	if _, err := client.RbacV1().RoleBindings(name).Create(ctx, binding(name),
		metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	// No pod can be made without it.
	if _, err := client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	// "edit" is put together from other roles by a controller, some time after the first start.
	review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: User(name),
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: name, Verb: "create", Group: "apps",
					Resource: "deployments"},
			},
		}, metav1.CreateOptions{})
	if err == nil && !review.Status.Allowed {
		err = fmt.Errorf("%s may not deploy yet: %s", User(name), review.Status.Reason)
	}
	return err
}

func binding(name string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: User(name), Namespace: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: User(name)}},
	}
}

// metricsReader lets whoever may view pods see what they use ("kubectl top"): metrics-server brings
// the same role with it.
func metricsReader() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:aggregated-metrics-reader", Labels: map[string]string{
			"rbac.authorization.k8s.io/aggregate-to-view":  "true",
			"rbac.authorization.k8s.io/aggregate-to-edit":  "true",
			"rbac.authorization.k8s.io/aggregate-to-admin": "true",
		}},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"metrics.k8s.io"}, Resources: []string{"pods", "nodes"},
			Verbs: []string{"get", "list", "watch"}}},
	}
}
