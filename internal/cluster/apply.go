package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// ApplyOptions say how to apply.
type ApplyOptions struct {
	// Force takes over fields that other managers hold. An autoscaler's replicas are never taken.
	Force bool
	// dryRun only asks.
	dryRun bool
}

// Apply makes the object so on the server, and returns it as it then is. Fields that another
// manager holds with other values are a *ConflictError; where that is an autoscaler, its replicas
// stay.
func (c *Cluster) Apply(ctx context.Context, o object.Object, opt ApplyOptions) (object.Object, error) {
	applied, err := c.apply(ctx, o, opt)
	return applied, c.explain("apply", o.Ref(), err)
}

func (c *Cluster) apply(ctx context.Context, o object.Object, opt ApplyOptions) (object.Object, error) {
	gentle := opt
	gentle.Force = false
	applied, err := c.patch(ctx, o, gentle)
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		return applied, err
	}
	if live := conflict.live; conflict.scaled() && live.Body != nil {
		o = withReplicas(o, live.At("spec", "replicas"))
		if applied, err = c.patch(ctx, o, gentle); !errors.As(err, &conflict) {
			return applied, err
		}
	}
	if !opt.Force {
		return object.Object{}, err
	}
	return c.patch(ctx, o, opt)
}

// patch is one server-side apply.
func (c *Cluster) patch(ctx context.Context, o object.Object, opt ApplyOptions) (object.Object, error) {
	ref := o.Ref()
	at, err := c.endpoint(ref, version(o))
	if err != nil {
		return object.Object{}, located(err, o)
	}
	data, err := json.Marshal(wire(o).Body)
	if err != nil {
		return object.Object{}, err
	}
	options := metav1.PatchOptions{FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict, Force: &opt.Force}
	if opt.dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var result *unstructured.Unstructured
	err = c.call(ctx, func(ctx context.Context) (err error) {
		result, err = at.Patch(ctx, ref.Name, types.ApplyPatchType, data, options)
		return err
	})
	switch {
	case err == nil:
		return received(result, o.Origin), nil
	case apierrors.IsConflict(err):
		live, _, getErr := c.get(ctx, ref, version(o))
		if getErr != nil {
			live = object.Object{}
		}
		return object.Object{}, conflictOf(ref, err, live, o)
	}
	return object.Object{}, c.classify("patch", ref, err)
}

// located adds where the object was written.
func located(err error, o object.Object) error {
	var unknown *UnknownKindError
	if errors.As(err, &unknown) {
		unknown.Origin = o.Origin
	}
	return err
}

// wire is the object as it is sent: without what only the server writes (a resourceVersion that
// came with a backup would make every apply a conflict), and with a Secret's stringData in data,
// because keys that leave stringData later would stay behind in data.
func wire(o object.Object) object.Object {
	o = o.Clone()
	delete(o.Body, "status")
	if metadata, ok := o.Body["metadata"].(map[string]any); ok {
		for _, f := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
			delete(metadata, f)
		}
	}
	plain, ok := o.Body["stringData"].(map[string]any)
	if !ok || !object.IsSecret(o) {
		return o
	}
	data, _ := o.Body["data"].(map[string]any)
	data = maps.Clone(data)
	if data == nil {
		data = map[string]any{}
	}
	for k, v := range plain {
		text, ok := v.(string)
		if !ok {
			return o // the server says what is wrong with it
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	delete(o.Body, "stringData")
	o.Body["data"] = data
	return o
}

func received(u *unstructured.Unstructured, origin object.Origin) object.Object {
	if metadata, ok := u.Object["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
	}
	return object.Object{Body: u.Object, Origin: origin}
}

// Get reads one object; false when there is none.
func (c *Cluster) Get(ctx context.Context, ref object.Ref) (object.Object, bool, error) {
	o, found, err := c.get(ctx, ref, "")
	return o, found, c.explain("get", ref, err)
}

func (c *Cluster) get(ctx context.Context, ref object.Ref, version string) (object.Object, bool, error) {
	at, err := c.endpoint(ref, version)
	if err != nil {
		return object.Object{}, false, err
	}
	var result *unstructured.Unstructured
	err = c.call(ctx, func(ctx context.Context) (err error) {
		result, err = at.Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case err == nil:
		return received(result, object.Origin{}), true, nil
	case apierrors.IsNotFound(err):
		return object.Object{}, false, nil
	}
	return object.Object{}, false, c.classify("get", ref, err)
}

// DeleteOptions say how to delete.
type DeleteOptions struct {
	// UID is the object that was looked at: another one of the same name stays. Empty: whichever
	// is there.
	UID string
}

// Delete asks the server to delete an object and, in the background, what it owns. That there is
// none is no error. The object may be there for a while afterwards.
func (c *Cluster) Delete(ctx context.Context, ref object.Ref, opt DeleteOptions) error {
	return c.explain("delete", ref, c.delete(ctx, ref, opt))
}

func (c *Cluster) delete(ctx context.Context, ref object.Ref, opt DeleteOptions) error {
	at, err := c.endpoint(ref, "")
	var unknown *UnknownKindError
	if errors.As(err, &unknown) && unknown.Err == nil {
		return nil // its definition is gone, and the object with it
	}
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if opt.UID != "" {
		options.Preconditions = metav1.NewUIDPreconditions(opt.UID)
	}
	err = c.call(ctx, func(ctx context.Context) error { return at.Delete(ctx, ref.Name, options) })
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err) && opt.UID != "":
		return fmt.Errorf("%w: it has been replaced by another %s since it was looked at", err, ref.Kind)
	}
	return c.classify("delete", ref, err)
}
