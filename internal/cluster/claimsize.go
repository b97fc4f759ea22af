package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// ClaimSizeError says that a claim cannot get the size that the source asks for.
type ClaimSizeError struct {
	Ref      object.Ref
	From, To string
	// Class is the StorageClass of the claim; empty without one.
	Class string
	// Shrinks: it would get smaller, which no class allows. Unbound: it has no volume yet, and only a claim that
	// has one can be resized.
	Shrinks, Unbound bool
	Err              error
}

func (e *ClaimSizeError) Error() string {
	why := "it has no StorageClass, and only a class lets volumes grow"
	switch {
	case e.Unbound:
		why = "it has no volume yet, and only a bound claim can be resized"
	case e.Shrinks:
		why = "a volume does not shrink"
	case e.Class != "":
		why = fmt.Sprintf("StorageClass %s does not let its volumes grow (allowVolumeExpansion)", e.Class)
	}
	return fmt.Sprintf("%s: spec.resources.requests.storage is %s in the source and %s in the cluster: %s",
		e.Ref, e.To, e.From, why)
}

func (e *ClaimSizeError) Unwrap() error { return e.Err }

// claimSize turns the refusal of another size of a claim into a *ClaimSizeError. It returns any other error
// unchanged.
func claimSize(o *plan.Observed) error {
	if o.Ref.Group != "" || o.Ref.Kind != "PersistentVolumeClaim" || o.Live.Body == nil ||
		!apierrors.IsInvalid(o.Err) && !apierrors.IsForbidden(o.Err) || refusal().MatchString(o.Err.Error()) {
		return o.Err
	}
	from, _ := o.Live.At("spec", "resources", "requests", "storage").(string)
	to, _ := o.Desired.At("spec", "resources", "requests", "storage").(string)
	have, errHave := resource.ParseQuantity(from)
	want, errWant := resource.ParseQuantity(to)
	if errHave != nil || errWant != nil || have.Cmp(want) == 0 {
		return o.Err
	}
	class, _ := o.Live.At("spec", "storageClassName").(string)
	e := &ClaimSizeError{Ref: o.Ref, From: from, To: to, Class: class, Shrinks: want.Cmp(have) < 0, Err: o.Err}
	e.Unbound = o.Live.At("status", "phase") != "Bound"
	if !e.Unbound && !e.Shrinks && apierrors.IsInvalid(o.Err) {
		return o.Err // another field is wrong too
	}
	return e
}

func isClaimSize(err error) bool {
	_, ok := errors.AsType[*ClaimSizeError](err)
	return ok
}

// Classes returns whether volumes of each StorageClass may grow, and the name of the default class. It
// returns nothing where the user may not list them.
func Classes(ctx context.Context, c *Cluster) (plan.Classes, error) {
	list, err := c.typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if apierrors.IsForbidden(err) {
		return plan.Classes{}, nil
	}
	if err != nil {
		ref := object.Ref{Group: "storage.k8s.io", Kind: "StorageClass"}
		return plan.Classes{}, c.Explain(ctx, "list", ref, err)
	}
	classes := plan.Classes{Grow: map[string]bool{}}
	for _, s := range list.Items {
		classes.Grow[s.Name] = s.AllowVolumeExpansion != nil && *s.AllowVolumeExpansion
		if s.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			classes.Default = s.Name
		}
	}
	return classes, nil
}
