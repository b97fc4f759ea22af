package cluster

import (
	"context"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// Sent is an object that was applied, and the fields that this removed.
type Sent struct {
	Object  object.Object
	Removed []object.Field
}

// Outcome is an object after an apply. Lost are the fields that do not have the value that was sent, and
// removed fields that are there: Before is what was sent.
type Outcome struct {
	Live
	Lost []object.Field
}

// Verify reads objects again that were applied. It leaves out the replicas that an autoscaler has set
// since, and what is lost of objects that are gone.
func Verify(ctx context.Context, c *Cluster, sent []Sent) ([]Outcome, error) {
	outcomes, errs := make([]Outcome, len(sent)), make([]error, len(sent))
	Each(len(sent), func(i int) {
		o := sent[i].Object
		live, managed, err := c.read(ctx, o.Ref(), version(o))
		if err != nil || live.Body == nil {
			errs[i] = err
			return
		}
		lost := object.Lost(wire(o), live)
		if isScaled(managed) {
			lost = slices.DeleteFunc(lost, func(f object.Field) bool { return f.Path == "spec.replicas" })
		}
		for _, f := range sent[i].Removed {
			if still, ok := stillThere(live, f); ok {
				lost = append(lost, object.Field{Path: f.Path, After: still})
			}
		}
		outcomes[i] = Outcome{Live{live, holdersOf(managed, live)}, lost}
	})
	for i, err := range errs {
		if err != nil {
			return outcomes, c.Explain(ctx, "verify", sent[i].Object.Ref(), err)
		}
	}
	return outcomes, nil
}

// isScaled says that replicas were set through the subresource of autoscalers.
func isScaled(managed []metav1.ManagedFieldsEntry) bool {
	return slices.ContainsFunc(managed, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "scale" && e.FieldsV1 != nil &&
			strings.Contains(e.FieldsV1.GetRawString(), `"f:replicas"`)
	})
}

// stillThere returns the value of a field that was removed, where the live object has it as it was.
func stillThere(live object.Object, f object.Field) (any, bool) {
	steps, err := object.Steps(f.Path)
	if err != nil {
		return nil, false
	}
	v, ok := object.Value(object.Masked(live).Body, steps)
	return v, ok && reflect.DeepEqual(v, f.Before)
}
