package cluster

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway/internal/object"
)

// Sent is an object that was applied, and the fields that this removed.
type Sent struct {
	Object object.Object
	// Source is the object before Observe has adapted it to the live one.
	Source  object.Object
	Removed []object.Field
}

// Outcome is an object after an apply.
type Outcome struct {
	// Live is set where fields are lost.
	Live
	// Lost are the fields that do not have the value that was sent, and removed fields that are there: Before
	// is what was sent.
	Lost []object.Field
	// Fingerprint is for the next Observe; empty where another apply may change something.
	Fingerprint string
	// Version is the resourceVersion that the object has with the fingerprint.
	Version string
}

// Verify reads objects of a set again that were applied. It leaves out the replicas that an autoscaler has
// set since, and what is lost of objects that are gone.
func Verify(ctx context.Context, c *Cluster, set object.Set, sent []Sent) ([]Outcome, error) {
	s, out, targets := &survey{c: c, scaled: scaledWorkloads(set)}, make([]Outcome, len(sent)),
		make([]target, len(sent))
	for i, o := range sent {
		kind, _ := o.Object.At("type").(string)
		targets[i] = target{ref: o.Object.Ref(), version: version(o.Object), secretType: kind}
	}
	errs := make([]error, len(sent))
	c.readAll(ctx, targets, func(i int, r reading) {
		if r.err != nil {
			errs[i] = c.Explain(ctx, "verify", targets[i].ref, r.err)
		} else if r.live.Body != nil {
			out[i] = s.verify(sent[i], r)
		}
	})
	return out, cmp.Or(errs...)
}

func (s *survey) verify(sent Sent, r reading) Outcome {
	o := Outcome{Live: Live{r.live, r.managed}, Lost: object.Lost(wire(sent.Object), r.live)}
	if isScaled(r.managed) {
		o.Lost = slices.DeleteFunc(o.Lost, func(f object.Field) bool { return f.Path == "spec.replicas" })
	}
	for _, f := range sent.Removed {
		if still, ok := stillThere(r.live, f); ok {
			o.Lost = append(o.Lost, object.Field{Path: f.Path, After: still})
		}
	}
	if len(o.Lost) == 0 {
		// The managers of its fields are not needed, and thousands of objects are large.
		o = Outcome{Fingerprint: s.settledAs(sent.Source, r.live, r.managed)}
		o.Version, _ = r.live.At("metadata", "resourceVersion").(string)
	}
	return o
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
