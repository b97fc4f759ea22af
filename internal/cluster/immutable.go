package cluster

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"slipway/internal/object"
)

// ImmutableError says which fields of an object keep the value that they were created with. The
// server's own words repeat the whole value.
type ImmutableError struct {
	Ref    object.Ref
	Fields []string
	Err    error
}

func (e *ImmutableError) Error() string {
	return fmt.Sprintf("%s: %s cannot be changed once the object is there", e.Ref, strings.Join(e.Fields, ", "))
}

func (e *ImmutableError) Unwrap() error { return e.Err }

// immutable recognises a refusal for that reason alone; any other error comes back as it is.
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
