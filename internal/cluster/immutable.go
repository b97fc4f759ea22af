package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// ImmutableError says which fields of an object cannot be changed after it was created. The server's message
// repeats the whole value.
type ImmutableError struct {
	Ref    object.Ref
	Fields []string
	Err    error
}

func (e *ImmutableError) Error() string {
	fields := strings.Join(e.Fields, ", ")
	return fmt.Sprintf("%s: %s cannot be changed after the object was created", e.Ref, fields)
}

func (e *ImmutableError) Unwrap() error { return e.Err }

// IsReplaceable says that the object may be deleted and created again, when it asks for that.
func (e *ImmutableError) IsReplaceable() bool { return !plan.Protected(e.Ref.Kind) }

// immutable turns a rejection for that reason alone into an *ImmutableError. It returns any other error
// unchanged.
func immutable(ref object.Ref, err error) error {
	if _, ok := errors.AsType[*ImmutableError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*DeniedError](err); ok { // whatever a webhook or a policy says of it
		return err
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		return err
	}
	e := &ImmutableError{Ref: ref, Err: err}
	for _, cause := range status.ErrStatus.Details.Causes {
		if !strings.HasSuffix(cause.Message, "field is immutable") &&
			!strings.Contains(cause.Message, "field is immutable when") &&
			!strings.Contains(cause.Message, onlySome) {
			return err
		}
		if !slices.Contains(e.Fields, cause.Field) {
			e.Fields = append(e.Fields, cause.Field)
		}
	}
	if len(e.Fields) == 0 {
		return err
	}
	return e
}

// onlySome is how the server refuses a change of a StatefulSet, without naming the field.
const onlySome = "updates to statefulset spec for fields other than"

// changeable are the fields of a StatefulSet's spec that can be changed.
var changeable = []string{"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
	"persistentVolumeClaimRetentionPolicy", "minReadySeconds"}

// withFields adds which fields of a StatefulSet were meant.
func withFields(o *plan.Observed, err error) error {
	e, ok := errors.AsType[*ImmutableError](immutable(o.Ref, err))
	if !ok || !strings.Contains(err.Error(), onlySome) {
		return err
	}
	var fields []string
	for _, f := range object.Lost(o.Desired, o.Live) {
		name, inSpec := strings.CutPrefix(f.Path, "spec.")
		top := strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '[' })
		if !inSpec || len(top) == 0 || slices.Contains(changeable, top[0]) {
			continue
		}
		if field := "spec." + top[0]; !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	if len(fields) > 0 {
		e.Fields = fields
	}
	return e
}

// isFixed says that the object may be deleted and created again because it cannot be changed, and names the
// fields.
func (s *survey) isFixed(o *plan.Observed) (fixed bool, why string) {
	if o.Live.Body == nil {
		return false, ""
	}
	e, immutable := errors.AsType[*ImmutableError](immutable(o.Ref, withFields(o, o.Err)))
	switch {
	case immutable && (plan.MayReplace(o.Desired) || s.back && plan.MayGoBack(o.Desired, o.Live)):
		return true, strings.Join(e.Fields, ", ")
	case o.Desired.IsHook() && o.Ref.RunsOnce() && apierrors.IsInvalid(o.Err):
		return true, "its spec"
	}
	return false, ""
}
