package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"slipway/internal/object"
)

// Apply writes an object by server-side apply. It fails with a *ConflictError where another manager owns a
// field with another value, unless force takes the field over. It keeps the replicas that an autoscaler has
// set.
func (c *Cluster) Apply(ctx context.Context, o object.Object, force bool) error {
	_, err := c.apply(ctx, o, metav1.PatchOptions{Force: &force})
	return c.Explain(ctx, "apply", o.Ref(), err)
}

func (c *Cluster) apply(ctx context.Context, o object.Object, opt metav1.PatchOptions) (
	object.Object, error) {
	gentle := opt
	gentle.Force = new(bool)
	applied, err := c.patch(ctx, o, gentle)
	conflict, ok := errors.AsType[*ConflictError](err)
	if !ok {
		return applied, err
	}
	if conflict.scaled() && conflict.live.Body != nil {
		o = withReplicas(o, conflict.live.At("spec", "replicas"))
		if applied, err = c.patch(ctx, o, gentle); !errors.As(err, &conflict) {
			return applied, err
		}
	}
	if !*opt.Force {
		return object.Object{}, err
	}
	return c.patch(ctx, o, opt)
}

// patch sends one server-side apply.
func (c *Cluster) patch(ctx context.Context, o object.Object, opt metav1.PatchOptions) (
	object.Object, error) {
	ref := o.Ref()
	at, err := c.endpoint(ctx, ref, version(o))
	if unknown, ok := errors.AsType[*UnknownKindError](err); ok {
		unknown.Origin = o.Origin
	}
	if err != nil {
		return object.Object{}, err
	}
	data, err := json.Marshal(wire(o).Body)
	if err != nil {
		return object.Object{}, err
	}
	opt.FieldManager, opt.FieldValidation = Manager, metav1.FieldValidationStrict
	result, err := at.Patch(ctx, ref.Name, types.ApplyPatchType, data, opt)
	if apierrors.IsConflict(err) {
		live, _, _ := c.get(ctx, ref, version(o)) // without it the conflict is told without values
		return object.Object{}, conflictOf(err, live, o)
	}
	return received(result), duplicate(err)
}

// tryCreate asks the server in a dry run whether it would create the object. The name is generated, because
// an object of the real name exists.
func tryCreate(ctx context.Context, c *Cluster, o object.Object) error {
	at, err := c.endpoint(ctx, o.Ref(), version(o))
	if err != nil {
		return err
	}
	o = wire(o).Detached()
	if metadata, ok := o.Body["metadata"].(map[string]any); ok {
		delete(metadata, "name")
		metadata["generateName"] = Manager + "-"
	}
	_, err = at.Create(ctx, &unstructured.Unstructured{Object: o.Body}, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// tryInDefault asks the server in a dry run whether an object is valid, in another namespace than its own,
// which does not exist yet. Only what is wrong with the object itself is an error: the namespace has another
// quota, and the user may have no rights there.
func tryInDefault(ctx context.Context, c *Cluster, o object.Object) error {
	o = wire(o).Detached()
	metadata, ok := o.Body["metadata"].(map[string]any)
	if !ok {
		return nil
	}
	metadata["namespace"] = metav1.NamespaceDefault
	at, err := c.endpoint(ctx, o.Ref(), version(o))
	if err != nil {
		return err
	}
	_, err = at.Create(ctx, &unstructured.Unstructured{Object: o.Body}, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: Manager, FieldValidation: metav1.FieldValidationStrict,
	})
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return err
	}
	return nil
}

// withReplicas returns a copy of o with another number of replicas.
func withReplicas(o object.Object, replicas any) object.Object {
	o = o.Clone()
	if spec, ok := o.Body["spec"].(map[string]any); ok {
		spec["replicas"] = replicas
	}
	return o
}

// controllers are annotations that controllers and kubectl write for themselves. Manifests that were exported
// from a cluster have them.
var controllers = []string{lastApplied, "deployment.kubernetes.io/revision",
	"deprecated.daemonset.template.generation", "control-plane.alpha.kubernetes.io/leader",
	"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
	"volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
	"volume.kubernetes.io/selected-node", "endpoints.kubernetes.io/last-change-trigger-time"}

// wire returns the object as it is sent: without the fields that only the server writes (a resourceVersion
// from a backup would make every apply a conflict), and with the stringData of a Secret moved to data,
// because a key that leaves stringData later would stay in data. It shares the rest with o, and is o itself
// where nothing is to change: that saves much of the memory of thousands of objects.
func wire(o object.Object) object.Object {
	if isWire(o) {
		return o
	}
	o = o.Detached()
	delete(o.Body, "status")
	if metadata, ok := o.Body["metadata"].(map[string]any); ok {
		for _, f := range written {
			delete(metadata, f)
		}
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			maps.DeleteFunc(annotations, func(k string, _ any) bool { return slices.Contains(controllers, k) })
		}
	}
	plain, ok := o.Body["stringData"].(map[string]any)
	if !ok || !object.IsSecret(o) {
		return o
	}
	data := map[string]any{}
	if given, ok := o.Body["data"].(map[string]any); ok {
		data = maps.Clone(given)
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

// written are the fields of metadata that only the server writes.
var written = []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp",
	"selfLink"}

// isWire says that wire would change nothing.
func isWire(o object.Object) bool {
	has := func(m map[string]any) func(string) bool {
		return func(k string) bool { _, ok := m[k]; return ok }
	}
	metadata, _ := o.Body["metadata"].(map[string]any)
	return !has(o.Body)("status") && !slices.ContainsFunc(written, has(metadata)) &&
		!slices.ContainsFunc(controllers, has(o.Annotations())) &&
		!(has(o.Body)("stringData") && object.IsSecret(o))
}

func received(u *unstructured.Unstructured) object.Object {
	if u == nil {
		return object.Object{}
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	return object.Object{Body: u.Object}
}

// Get reads one object, in the version that the server prefers; false when it does not exist. The error is
// client-go's: see Explain.
func (c *Cluster) Get(ctx context.Context, ref object.Ref) (object.Object, bool, error) {
	return c.get(ctx, ref, "")
}

// get reads one object, in the preferred version when version is empty; false when it does not exist.
func (c *Cluster) get(ctx context.Context, ref object.Ref, version string) (object.Object, bool, error) {
	o, _, err := c.read(ctx, ref, version)
	return o, o.Body != nil, err
}

// read is get with the managed fields. The Body is nil when the object does not exist.
func (c *Cluster) read(ctx context.Context, ref object.Ref, version string) (
	object.Object, []metav1.ManagedFieldsEntry, error) {
	at, err := c.endpoint(ctx, ref, version)
	if err != nil {
		return object.Object{}, nil, err
	}
	result, err := at.Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return object.Object{}, nil, nil
	} else if err != nil {
		return object.Object{}, nil, err
	}
	managed := result.GetManagedFields()
	return received(result), managed, nil
}

// Delete deletes an object and, in the background, the objects that it owns. An object that does not exist is
// not an error. With a uid it deletes only the object with that uid, and not another one that has taken the
// name. It does not wait until the object is gone: see rollout.WaitGone.
func (c *Cluster) Delete(ctx context.Context, ref object.Ref, uid string) error {
	return c.delete(ctx, ref, uid, metav1.DeletePropagationBackground)
}

// DeleteAlone is Delete, and leaves the objects that it owns, which another one may take over.
func (c *Cluster) DeleteAlone(ctx context.Context, ref object.Ref, uid string) error {
	return c.delete(ctx, ref, uid, metav1.DeletePropagationOrphan)
}

// DeleteWhole is Delete, and the object stays until all that it owns is gone, such as its pods.
func (c *Cluster) DeleteWhole(ctx context.Context, ref object.Ref, uid string) error {
	return c.delete(ctx, ref, uid, metav1.DeletePropagationForeground)
}

func (c *Cluster) delete(
	ctx context.Context, ref object.Ref, uid string, policy metav1.DeletionPropagation,
) error {
	at, err := c.endpoint(ctx, ref, "")
	if unknown, ok := errors.AsType[*UnknownKindError](err); ok && unknown.Err == nil {
		return nil // its definition is gone, and the object with it
	}
	if err != nil {
		return c.Explain(ctx, "delete", ref, err)
	}
	options := metav1.DeleteOptions{PropagationPolicy: &policy}
	if uid != "" {
		options.Preconditions = metav1.NewUIDPreconditions(uid)
	}
	for try := 1; ; try++ {
		err = at.Delete(ctx, ref.Name, options)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) || try == tries {
			return c.Explain(ctx, "delete", ref, err)
		}
		live, found, err := c.Get(ctx, ref)
		switch {
		case err != nil:
			return c.Explain(ctx, "get", ref, err)
		case found && uid != "" && live.At("metadata", "uid") != uid:
			return fmt.Errorf("delete %s: another object has taken its name since the plan", ref)
		}
	}
}
