package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// ObserveOptions say how to observe.
type ObserveOptions struct {
	// Force asks as an Apply with Force would.
	Force bool
}

// Observe looks at each object of desired, which has been Placed, and asks the server what applying
// it would give; of the owned ones that are no longer desired it only reads what is there. What is
// wrong with one object is in its Err; Observe itself fails where every object would.
func (c *Cluster) Observe(ctx context.Context, desired object.Set, owned []object.Ref, opt ObserveOptions) ([]plan.Observed, error) {
	objects := desired.Objects()
	out := make([]plan.Observed, 0, len(objects)+len(owned))
	for _, o := range objects {
		out = append(out, plan.Observed{Ref: o.Ref(), Desired: o})
	}
	seen := map[object.Ref]bool{}
	for _, ref := range owned {
		if _, ok := desired.Get(ref); !ok && !seen[ref] {
			seen[ref] = true
			out = append(out, plan.Observed{Ref: ref})
		}
	}
	s := survey{c: c, definitions: definitionsOf(desired), desired: desired, force: opt.Force}
	each(len(out), func(i int) { s.look(ctx, &out[i]) })
	if err := anyHopeless(ctx, out); err != nil {
		return out, err
	}
	live := make(map[object.Ref]object.Object, len(out))
	for _, o := range out {
		live[o.Ref] = o.Live
	}
	scalers, err := c.scalers(ctx, desired, seen)
	if err != nil {
		return out, err
	}
	settled := settleReplicas(desired, live, scalers)
	each(len(objects), func(i int) {
		out[i].Desired, _ = settled.Get(out[i].Ref)
		s.ask(ctx, &out[i])
	})
	return out, anyHopeless(ctx, out)
}

func anyHopeless(ctx context.Context, observed []plan.Observed) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, o := range observed {
		if hopeless(o.Err) {
			return o.Err
		}
	}
	return nil
}

// survey is one Observe.
type survey struct {
	c           *Cluster
	definitions map[schema.GroupKind]definition
	desired     object.Set
	force       bool
}

// look reads what is there.
func (s *survey) look(ctx context.Context, o *plan.Observed) {
	wanted := o.Desired.Body != nil
	want := ""
	if wanted {
		want = version(o.Desired)
	}
	live, _, err := s.c.get(ctx, o.Ref, want)
	var unknown *UnknownKindError
	switch {
	case err == nil:
		o.Live = live
		return
	case !errors.As(err, &unknown):
		o.Err = err
		return
	case !wanted && unknown.Err == nil:
		return // its kind is gone, and the object with it
	}
	d, ok := s.definitions[groupKind(o.Ref)]
	if !wanted || !ok {
		o.Err = located(err, o.Desired)
		return
	}
	o.Unverified = fmt.Sprintf("its kind comes with %s of the same deploy", d.ref)
	o.Live, _, err = s.c.get(ctx, o.Ref, "") // in another version, maybe
	if err != nil && !errors.As(err, &unknown) {
		o.Err = err
	}
}

// ask has the server try the apply without doing it.
func (s *survey) ask(ctx context.Context, o *plan.Observed) {
	if o.Err != nil {
		return
	}
	if o.Unverified != "" {
		o.Merged = wire(o.Desired)
		return
	}
	merged, err := s.c.apply(ctx, o.Desired, ApplyOptions{Force: s.force, dryRun: true})
	if err == nil {
		o.Merged, o.Err = merged, s.same(ctx, o, merged)
		return
	}
	if o.Unverified = s.excuse(o.Ref, err); o.Unverified != "" {
		o.Merged = wire(o.Desired)
		return
	}
	o.Err = err
}

// same reads the live object again where a controller has written to it since: what it wrote would
// look like a change of ours.
func (s *survey) same(ctx context.Context, o *plan.Observed, merged object.Object) error {
	if o.Live.Body == nil || o.Live.At("metadata", "resourceVersion") == merged.At("metadata", "resourceVersion") {
		return nil
	}
	live, found, err := s.c.get(ctx, o.Ref, version(o.Desired))
	if err == nil && found {
		o.Live = live
	}
	return err
}

// excuse says why the server's refusal says nothing about the deploy itself; empty: it does.
func (s *survey) excuse(ref object.Ref, err error) string {
	var missing *NoNamespaceError
	if errors.As(err, &missing) {
		if _, ok := s.desired.Get(object.Ref{Kind: "Namespace", Name: missing.Namespace}); ok {
			return fmt.Sprintf("namespace %s comes with the same deploy", missing.Namespace)
		}
		return ""
	}
	// The object may need a schema that its definition gets in the same deploy.
	if d, ok := s.definitions[groupKind(ref)]; ok && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) {
		return fmt.Sprintf("%s changes in the same deploy; as it is, the server says: %v", d.ref, err)
	}
	if apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run") {
		return err.Error()
	}
	return ""
}

// scalers are the autoscalers that will be there: those of desired, and live ones that this deploy
// does not remove.
func (c *Cluster) scalers(ctx context.Context, desired object.Set, removed map[object.Ref]bool) ([]object.Object, error) {
	var found []object.Object
	namespaces := map[string]bool{}
	for _, o := range desired.Objects() {
		if isScaler(o) {
			found = append(found, o)
		}
		if o.At("spec", "replicas") != nil {
			namespaces[o.Ref().Namespace] = true
		}
	}
	for ns := range namespaces {
		live, err := c.list(ctx, object.Ref{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: ns})
		if hopeless(err) {
			return nil, err
		}
		// Whoever may not list autoscalers gets a conflict from the server where one has scaled.
		for _, o := range live {
			if _, ok := desired.Get(o.Ref()); !ok && !removed[o.Ref()] {
				found = append(found, o)
			}
		}
	}
	return found, nil
}

// list reads all objects of a kind in a namespace.
func (c *Cluster) list(ctx context.Context, kind object.Ref) ([]object.Object, error) {
	at, err := c.endpoint(kind, "")
	if err != nil {
		return nil, err
	}
	var result *unstructured.UnstructuredList
	err = c.call(ctx, func(ctx context.Context) (err error) {
		result, err = at.List(ctx, metav1.ListOptions{})
		return err
	})
	if err != nil {
		return nil, c.classify("list", kind, err)
	}
	objects := make([]object.Object, 0, len(result.Items))
	for i := range result.Items {
		objects = append(objects, received(&result.Items[i], object.Origin{}))
	}
	return objects, nil
}
