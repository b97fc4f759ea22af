// Package release keeps the record of each deploy to an environment: what was to run, from which
// commit, who shipped it, whether it became healthy, and what it may delete. Records lie in the
// environment's own namespace. It changes nothing else.
package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/rollout"
)

// ErrNone says that there is no such release.
var ErrNone = errors.New("there is no such release")

// Status is what became of a release.
type Status string

// The statuses, as people read them in the history.
const (
	// Pending: it is being deployed.
	Pending Status = "pending"
	// Healthy: all of it was applied and became healthy.
	Healthy Status = "healthy"
	// Failed: it was not applied as a whole, or did not become healthy.
	Failed Status = "failed"
	// Interrupted: whoever deployed it vanished on the way.
	Interrupted Status = "interrupted"
	// Deleted: the environment was emptied.
	Deleted Status = "deleted"
)

// Release is the record of one deploy. As JSON and as text it holds no value of a Secret.
type Release struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// Revision counts the environment's deploys from 1.
	Revision int    `json:"revision"`
	Status   Status `json:"status"`
	Commit   string `json:"commit,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Dirty    bool   `json:"dirty,omitempty"`
	// Who deployed it, as the API server knows them.
	Who      string    `json:"who,omitempty"`
	Message  string    `json:"message,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Digest names the set of objects.
	Digest string      `json:"digest"`
	Images []image.Pin `json:"images,omitempty"`
	// RollbackOf is the revision whose objects were deployed again; 0: this is no rollback.
	RollbackOf int `json:"rollbackOf,omitempty"`
	// Failure says in one sentence why it failed.
	Failure string `json:"failure,omitempty"`

	// What follows is in whole releases only, not in those of History.

	Evidence []rollout.Evidence `json:"evidence,omitempty"`
	// Owned are the objects that a later deploy may delete: those of this release, and until it
	// is healthy those of earlier ones too.
	Owned []object.Ref `json:"owned,omitempty"`
	// Adopted are objects that were there before they became part of the environment with this release,
	// or with the unhealthy ones before it. The way back leaves them there.
	Adopted []object.Ref `json:"adopted,omitempty"`
	// Kept are owned objects that the release no longer has, and that were left in place because
	// they are protected.
	Kept []object.Ref `json:"kept,omitempty"`
	// Applied are the objects that were created, updated or deleted, in the order in which it happened.
	Applied []object.Ref `json:"applied,omitempty"`
	// Objects are the set as it was to be applied. Rollback needs their Secrets, nobody else
	// may see them.
	Objects object.Set `json:"-"`

	// version and chunks are the record's, for writing it again.
	version string
	chunks  int
	// pending: the record still says so, although no deploy runs.
	pending bool
}

// String prints "revision 12, sha-88a1b07, healthy".
func (r Release) String() string {
	s := fmt.Sprintf("revision %d", r.Revision)
	for _, part := range []string{r.Tag, string(r.Status)} {
		if part != "" {
			s += ", " + part
		}
	}
	return s
}

// stored is the form in which a release lies in its record.
type stored struct {
	Release Release  `json:"release"`
	Objects []member `json:"objects"`
	// Concealed are the values that had to be decrypted for the objects.
	Concealed []string `json:"concealed,omitempty"`
}

type member struct {
	Body   map[string]any `json:"body"`
	Origin object.Origin  `json:"origin,omitzero"`
}

// encode gives the record of a release: data that holds all, and a summary that holds what lists
// need.
func encode(r Release) (summary, data []byte, err error) {
	s := stored{Release: r, Objects: []member{}, Concealed: r.Objects.Concealed()}
	for _, o := range r.Objects.Objects() {
		s.Objects = append(s.Objects, member{Body: o.Body, Origin: o.Origin})
	}
	if data, err = json.Marshal(s); err != nil {
		return nil, nil, err
	}
	r.Evidence, r.Owned, r.Adopted, r.Kept, r.Applied = nil, nil, nil, nil, nil
	summary, err = json.Marshal(r)
	return summary, data, err
}

func decode(data []byte) (Release, error) {
	var s stored
	if err := utiljson.Unmarshal(data, &s); err != nil { // whole numbers as objects have them
		return Release{}, err
	}
	s.Release.Objects.Conceal(s.Concealed)
	for _, m := range s.Objects {
		if err := s.Release.Objects.Add(object.Object{Body: m.Body, Origin: m.Origin}); err != nil {
			return Release{}, err
		}
	}
	return s.Release, nil
}

// union is both lists, each Ref once, in order.
func union(a, b []object.Ref) []object.Ref {
	all := slices.Concat(a, b)
	slices.SortFunc(all, object.Ref.Compare)
	return slices.Compact(all)
}

// hide takes the values of the release's Secrets out of its sentences.
func hide(r Release) Release {
	secrets := object.SecretValues(r.Objects)
	r.Failure = object.Mask(strings.TrimSpace(r.Failure), secrets)
	r.Message = object.Mask(r.Message, secrets)
	return r
}
