package cluster

import (
	"context"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// ErrChanged says that an object was created or written by another client since it was read.
var ErrChanged = errors.New("another client changed it at the same time")

// ReadLease reads a Lease of the cluster's namespace. One that does not exist has no ResourceVersion.
func ReadLease(ctx context.Context, c *Cluster, name string) (*coordinationv1.Lease, error) {
	lease, err := c.typed.CoordinationV1().Leases(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
	}
	return lease, c.Explain(ctx, "read", leaseRef(c, name), err)
}

// WriteLease creates a Lease that has no ResourceVersion and replaces any other. It fails with ErrChanged
// when another client did so since the Lease was read.
func WriteLease(ctx context.Context, c *Cluster, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	leases := c.typed.CoordinationV1().Leases(c.namespace)
	var written *coordinationv1.Lease
	var err error
	if lease.ResourceVersion == "" {
		written, err = leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: Manager})
	} else {
		written, err = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: Manager})
	}
	return written, explainWrite(ctx, c, leaseRef(c, lease.Name), err)
}

// DeleteLease deletes a Lease. It fails with ErrChanged when another client wrote it since it was read.
func DeleteLease(ctx context.Context, c *Cluster, lease *coordinationv1.Lease) error {
	err := c.typed.CoordinationV1().Leases(c.namespace).Delete(ctx, lease.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return explainWrite(ctx, c, leaseRef(c, lease.Name), err)
}

// ReadSecret reads a Secret of the cluster's namespace; nil when it does not exist.
func ReadSecret(ctx context.Context, c *Cluster, name string) (*corev1.Secret, error) {
	secret, err := c.typed.CoreV1().Secrets(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return secret, c.Explain(ctx, "read", secretRef(c, name), err)
}

// ListSecrets lists the Secrets of one type that a label selector selects.
func ListSecrets(
	ctx context.Context, c *Cluster, kind corev1.SecretType, selector string,
) ([]corev1.Secret, error) {
	all, _, err := ListFewSecrets(ctx, c, kind, selector, 0)
	return all, err
}

// ListFewSecrets is ListSecrets for some of them. It reports whether these are all. The limit 0 lists all.
func ListFewSecrets(
	ctx context.Context, c *Cluster, kind corev1.SecretType, selector string, limit int64,
) ([]corev1.Secret, bool, error) {
	list, err := c.typed.CoreV1().Secrets(c.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: selector, FieldSelector: "type=" + string(kind), Limit: limit,
	})
	if err != nil {
		return nil, false, c.Explain(ctx, "list", object.Ref{Kind: "Secret", Namespace: c.namespace}, err)
	}
	return list.Items, list.Continue == "", nil
}

// WriteSecret creates a Secret that has no ResourceVersion and replaces any other. It fails with ErrChanged
// when another client did so since the Secret was read.
func WriteSecret(ctx context.Context, c *Cluster, secret *corev1.Secret) (*corev1.Secret, error) {
	secrets := c.typed.CoreV1().Secrets(c.namespace)
	var written *corev1.Secret
	var err error
	if secret.ResourceVersion == "" {
		written, err = secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: Manager})
	} else {
		written, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: Manager})
	}
	return written, explainWrite(ctx, c, secretRef(c, secret.Name), err)
}

// DeleteSecret deletes a Secret of the cluster's namespace. A Secret that does not exist is not an error.
func DeleteSecret(ctx context.Context, c *Cluster, name string) error {
	for try := 1; ; try++ {
		err := c.typed.CoreV1().Secrets(c.namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) || try == tries {
			return c.Explain(ctx, "delete", secretRef(c, name), err)
		}
	}
}

// explainWrite explains why an object was not written: ErrChanged when another client was faster.
func explainWrite(ctx context.Context, c *Cluster, ref object.Ref, err error) error {
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return fmt.Errorf("write %s: %w", ref, ErrChanged)
	}
	return c.Explain(ctx, "write", ref, err)
}

func leaseRef(c *Cluster, name string) object.Ref {
	return object.Ref{Group: "coordination.k8s.io", Kind: "Lease", Namespace: c.namespace, Name: name}
}

func secretRef(c *Cluster, name string) object.Ref {
	return object.Ref{Kind: "Secret", Namespace: c.namespace, Name: name}
}
