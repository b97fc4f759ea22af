// Package release is the record: what each deploy to an environment was, what became of it, and
// what it may delete. It is kept in Secrets of the environment's namespace, so that a rollback needs
// neither Git nor the manifests. It decides nothing.
package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
)

// ErrNone says that there is no such release.
var ErrNone = errors.New("no such release")

// Status is what became of a release.
type Status string

// The statuses. Pending releases whose deploy is gone read as Interrupted.
const (
	Pending     Status = "pending"
	Healthy     Status = "healthy"
	Failed      Status = "failed"
	Interrupted Status = "interrupted"
	Deleted     Status = "deleted"
)

// Summary is what may be shown of a release. It holds no object and no Secret value.
type Summary struct {
	Project     string      `json:"project"`
	Environment string      `json:"environment"`
	Revision    int         `json:"revision"`
	Status      Status      `json:"status"`
	Commit      string      `json:"commit,omitempty"`
	Tag         string      `json:"tag,omitempty"`
	Dirty       bool        `json:"dirty,omitempty"`
	Who         string      `json:"who,omitempty"`
	Started     time.Time   `json:"started"`
	Finished    time.Time   `json:"finished,omitzero"`
	Digest      string      `json:"digest"`
	Images      []image.Pin `json:"images,omitempty"`
	// RollbackOf is the revision whose objects were deployed again.
	RollbackOf int                `json:"rollbackOf,omitempty"`
	Failure    string             `json:"failure,omitempty"`
	Evidence   []cluster.Evidence `json:"evidence,omitempty"`
	// Applied are the objects that were created, updated or deleted, in that order of time.
	Applied []object.Ref `json:"applied,omitempty"`
}

// Release is the whole record.
type Release struct {
	Summary
	// Owned are the objects that later releases may delete: those of this release and, until it
	// is healthy, those of the ones before it.
	Owned []object.Ref
	// Objects are what the environment should hold.
	Objects object.Set

	version string // of the stored record, for writing it again
}

// stored is a Release as it is written: JSON.
type stored struct {
	Summary
	Owned   []object.Ref   `json:"owned"`
	Objects []storedObject `json:"objects"`
}

type storedObject struct {
	Body   json.RawMessage `json:"body"`
	Origin object.Origin   `json:"origin,omitzero"`
}

func (r Release) encode() ([]byte, error) {
	s := stored{Summary: r.Summary, Owned: r.Owned}
	for _, o := range r.Objects.Objects() {
		body, err := json.Marshal(o.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Ref(), err)
		}
		s.Objects = append(s.Objects, storedObject{body, o.Origin})
	}
	return json.Marshal(s)
}

func decode(data []byte) (Release, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return Release{}, err
	}
	r := Release{Summary: s.Summary, Owned: s.Owned}
	for _, o := range s.Objects {
		obj, err := object.FromJSON(o.Body, o.Origin)
		if err != nil {
			return Release{}, err
		}
		if err := r.Objects.Add(obj); err != nil {
			return Release{}, err
		}
	}
	return r, nil
}
