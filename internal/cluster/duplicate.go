package cluster

import (
	"fmt"

	"slipway/internal/lazyregexp"
)

// DuplicateError says that a list has two entries of one key, which the server accepts from other clients.
type DuplicateError struct {
	Field, Key string
	Err        error
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%s has two entries with %s, which server-side apply refuses", e.Field, e.Key)
}

func (e *DuplicateError) Unwrap() error { return e.Err }

var duplicateEntries = lazyregexp.New(`\.(\S+): duplicate entries for key \[(.*?)\]`)

// duplicate turns a rejection for that reason into a *DuplicateError, and returns any other unchanged.
func duplicate(err error) error {
	if err == nil {
		return nil
	}
	if m := duplicateEntries().FindStringSubmatch(err.Error()); m != nil {
		return &DuplicateError{Field: m[1], Key: m[2], Err: err}
	}
	return err
}
