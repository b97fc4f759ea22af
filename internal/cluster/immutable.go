package cluster

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
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

// immutable turns a rejection for that reason alone into an *ImmutableError. It returns any other error
// unchanged.
func immutable(ref object.Ref, err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		return err
	}
	e := &ImmutableError{Ref: ref, Err: err}
	for _, cause := range status.ErrStatus.Details.Causes {
		if !strings.HasSuffix(cause.Message, "field is immutable") {
			return err
		}
		e.Fields = append(e.Fields, cause.Field)
	}
	if len(e.Fields) == 0 {
		return err
	}
	return e
}
