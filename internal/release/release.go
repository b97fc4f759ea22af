// Package release keeps the records of an environment: each deploy with its objects, commit, actor, outcome
// and what it may delete. It stores them in the namespace of the environment, together with the lock that
// guards them. It changes nothing else in the cluster.
package release

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/rollout"
)

var (
	// ErrNone says that a release is not recorded.
	ErrNone = errors.New("not recorded")
	// ErrNotHeld says that a release is not in quarantine.
	ErrNotHeld = errors.New("not in quarantine")
)

// NoOrigin stands for a repository that has no origin.
const NoOrigin = "no origin"

// Status is the outcome of a release.
type Status string

// The statuses.
const (
	// Pending: the deploy is running.
	Pending Status = "pending"
	// Healthy: all objects were applied and became healthy.
	Healthy Status = "healthy"
	// Failed: an object was not applied, or did not become healthy.
	Failed Status = "failed"
	// Interrupted: the deploy ended without an outcome.
	Interrupted Status = "interrupted"
	// Superseded: a newer commit ended the deploy before its outcome was known.
	Superseded Status = "superseded"
	// Deleted: all objects of the environment were deleted.
	Deleted Status = "deleted"
)

// Release is the record of one deploy. Its JSON and its text contain no value of a Secret.
type Release struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	// Former are the names, "shop/prod", that the environment had before, until a release under the present
	// one is healthy.
	Former []string `json:"former,omitempty"`
	// Path is the project's directory in its repository; empty for the root.
	Path string `json:"path,omitempty"`
	// Repository is the owner and name of its repository, "acme/shop", or NoOrigin; empty in records of
	// earlier versions.
	Repository string `json:"repository,omitempty"`
	// Namespace is the one that the release was deployed to, where that is not the present one.
	Namespace string `json:"namespace,omitempty"`
	// Revision counts the deploys of the environment from 1.
	Revision int    `json:"revision"`
	Status   Status `json:"status"`
	Commit   string `json:"commit,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Dirty    bool   `json:"dirty,omitempty"`
	// Who is the actor, as the CLI or the CI platform names it.
	Who string `json:"who,omitempty"`
	// Leader is the replica of the agent that deployed it; nil: a person or CI did.
	Leader   *Leader   `json:"leader,omitempty"`
	Message  string    `json:"message,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
	// Digest identifies the set of objects.
	Digest string      `json:"digest"`
	Images []image.Pin `json:"images,omitempty"`
	// RollbackOf is the revision that was deployed again; 0: not a rollback.
	RollbackOf int `json:"rollbackOf,omitempty"`
	// Revert: RollbackOf was the newest release, and objects had been changed in the cluster since.
	Revert bool `json:"revert,omitempty"`
	// Allowed are the rules of check whose errors the deploy let through.
	Allowed []Allowance `json:"allowed,omitempty"`
	// Older: the commit is older than that of the release before it, or on another branch, on purpose.
	Older bool `json:"older,omitempty"`
	// Override: its images were promoted without a commit, and Git states others; nil: they are those of the
	// source.
	Override *Override `json:"override,omitempty"`
	// Failure is one sentence about why it failed.
	Failure string `json:"failure,omitempty"`
	// Barriers are reasons not to go back behind this release, Crossed those behind which it went on purpose.
	Barriers []string `json:"barriers,omitempty"`
	Crossed  []string `json:"crossed,omitempty"`
	// Ran are the digests of its images that ran in a pod, where it became bad.
	Ran []string `json:"ran,omitempty"`
	// NotRun are images of its workloads that no pod had run when it was recorded as healthy.
	NotRun []string `json:"notRun,omitempty"`
	// Found says that the release before this one was recorded as healthy and no longer was.
	Found *Found `json:"found,omitempty"`
	// Quarantine: the content of this release was bad, and is not deployed again until a person lifts it.
	Quarantine *Quarantine `json:"quarantine,omitempty"`

	// The fields below are empty in the releases of History.

	Evidence []rollout.Evidence `json:"evidence,omitempty"`
	// Owned are the objects that a later deploy may delete: those of this release and, until it is healthy,
	// those of earlier ones.
	Owned []object.Ref `json:"owned,omitempty"`
	// Adopted are objects that existed before this release, or the unhealthy ones before it, made them part
	// of the environment. A rollback leaves them in place.
	Adopted []object.Ref `json:"adopted,omitempty"`
	// Irreversible are changes of this release that a rollback does not undo, with the reasons.
	Irreversible []string `json:"irreversible,omitempty"`
	// Kept are owned objects that left the source and still exist: they are protected, or held by finalizers.
	Kept []object.Ref `json:"kept,omitempty"`
	// Applied are the objects that were created, updated or deleted, in that order of time.
	Applied []object.Ref `json:"applied,omitempty"`
	// Lost are fields that did not have the value that was applied when the objects were healthy.
	Lost []Lost `json:"lost,omitempty"`
	// Settled are the fingerprints of the objects that were as the source wants them when the release became
	// healthy: see cluster.Observe. They need no dry run until they change.
	Settled map[object.Ref]string `json:"-"`
	// Seen are the resourceVersions of these objects, as this process has read them last. They are not
	// recorded.
	Seen map[object.Ref]string `json:"-"`
	// Objects is the set as it was to be applied, Secrets included: a rollback needs them, and they must not
	// be shown.
	Objects object.Set `json:"-"`

	// version and chunks are those of the record, for writing it again.
	version string
	chunks  int
	later   later
	// pending: the record says so, although no deploy may be running.
	pending bool
}

// Found is what a release found of the one before it.
type Found struct {
	Revision int `json:"revision"`
	// Message says which object was down, and how.
	Message string `json:"message"`
}

// Quarantine holds the content of a release back.
type Quarantine struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Who is the person who asked for it; empty: the agent or the deploy did so itself.
	Who string `json:"who,omitempty"`
	// Images are the digests that the release brought in and that its pods ran: they are held back in any set
	// of objects.
	Images []string `json:"images,omitempty"`
	// Lifted says who lifted it, and why; nil: it holds.
	Lifted *Lifted `json:"lifted,omitempty"`
}

// Lifted is the end of a quarantine.
type Lifted struct {
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Quarantined returns the newest release that holds back a set of objects, by its digest.
func (p Past) Quarantined(digest string) (Release, bool) {
	for _, r := range p.Releases {
		if r.Quarantine != nil && r.Digest == digest {
			return r, r.Quarantine.Lifted == nil
		}
	}
	return Release{}, false
}

// Proven says that a release was healthy, that its images have run, and that it is not in quarantine: it may
// be promoted, and gone back to.
func (r Release) Proven() bool { return r.Status == Healthy && len(r.NotRun) == 0 && !r.Held() }

// ContentText says where the content comes from, where that is not the commit: "rollback to release 3".
func (r Release) ContentText() string {
	switch {
	case r.Revert:
		return fmt.Sprintf("drift reverted to release %d", r.RollbackOf)
	case r.RollbackOf > 0:
		return fmt.Sprintf("rollback to release %d", r.RollbackOf)
	case r.Override != nil:
		return "images of " + r.Override.From + " without a commit"
	}
	return ""
}

// Tags are those of its images, each once: where the source names them, they are of other commits than the
// release. Without images it is the tag of the release.
func (r Release) Tags() []string {
	var tags []string
	for _, pin := range r.Images {
		if pin.Tag != "" && !slices.Contains(tags, pin.Tag) {
			tags = append(tags, pin.Tag)
		}
	}
	if len(tags) == 0 && r.Tag != "" {
		tags = []string{r.Tag}
	}
	return tags
}

// Held says whether the content of a release is held back.
func (r Release) Held() bool { return r.Quarantine != nil && r.Quarantine.Lifted == nil }

// HeldImages are the images that the quarantine of a release names.
func (r Release) HeldImages() []image.Pin {
	var held []image.Pin
	for _, pin := range r.Images {
		if r.Quarantine != nil && slices.Contains(r.Quarantine.Images, pin.Digest) {
			held = append(held, pin)
		}
	}
	return held
}

// QuarantinedImage returns the newest release that holds back one of some images, and that image.
func (p Past) QuarantinedImage(pins []image.Pin) (Release, image.Pin, bool) {
	for _, pin := range pins {
		for _, r := range p.Releases {
			if pin.Digest == "" || r.Quarantine == nil || !slices.Contains(r.Quarantine.Images, pin.Digest) {
				continue
			}
			if r.Held() {
				return r, pin, true
			}
			break // it was lifted since
		}
	}
	return Release{}, image.Pin{}, false
}

// broughtIn are the digests that a release ran and that no healthy one before it names. It has none
// without a healthy one before, because nothing tells good images from bad ones then.
func broughtIn(r Release, history []Release) []string {
	i := slices.IndexFunc(history, func(o Release) bool {
		return o.Revision < r.Revision && o.Proven()
	})
	if i < 0 {
		return nil
	}
	var digests []string
	for _, pin := range r.Images {
		known := slices.ContainsFunc(history[i].Images, func(o image.Pin) bool { return o.Digest == pin.Digest })
		if !known && slices.Contains(r.Ran, pin.Digest) {
			digests = append(digests, pin.Digest)
		}
	}
	return digests
}

// Lost is a field whose value did not hold: Before is what was applied, After what was there.
type Lost struct {
	Ref object.Ref `json:"ref"`
	object.Field
	// By is the field manager that changed it, and Since when; empty where the server does not say. Mutators
	// are the webhooks and policies that may have changed it.
	By       string    `json:"by,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Mutators []string  `json:"mutators,omitempty"`
}

// Allowance is a rule of check whose errors one deploy let through, and why.
type Allowance struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	// Findings are the errors, each with its object and place.
	Findings []string `json:"findings"`
}

// Owner is the name of the release's environment with its project: "shop/prod".
func (r Release) Owner() string { return r.Project + "/" + r.Environment }

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

// member is an object in a record.
type member struct {
	Body   map[string]any `json:"body"`
	Origin object.Origin  `json:"origin,omitzero"`
	// Settled is the object's entry of Release.Settled.
	Settled string `json:"settled,omitempty"`
}

// The parts of a release in its record.
const (
	releaseKey   = "release"
	objectsKey   = "objects"
	concealedKey = "concealed" // the values that were decrypted for the objects
)

// encode returns the data of a record, and the summary for lists. It compresses one object after the other:
// the text of thousands is not held.
func encode(r Release) (summary, data []byte, err error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	text := json.NewEncoder(z)
	put := func(before string, v any) {
		if err == nil {
			_, err = io.WriteString(z, before)
		}
		if err == nil {
			err = text.Encode(v)
		}
	}
	whole, err := r.withLater()
	put(`{"`+releaseKey+`":`, whole)
	for _, key := range slices.Sorted(maps.Keys(r.later.parts)) {
		put(`,"`+key+`":`, r.later.parts[key])
	}
	before := `,"` + objectsKey + `":[`
	for _, o := range r.Objects.Objects() {
		put(before, member{Body: o.Body, Origin: o.Origin, Settled: r.Settled[o.Ref()]})
		before = ","
	}
	if r.Objects.Len() > 0 {
		before = "]"
	} else {
		before += "]"
	}
	put(before+`,"`+concealedKey+`":`, r.Objects.Concealed())
	if err == nil {
		_, err = io.WriteString(z, "}")
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, nil, err
	}
	r.Evidence, r.Owned, r.Adopted, r.Kept, r.Applied, r.Lost = nil, nil, nil, nil, nil, nil
	r.Irreversible = nil
	summary, err = r.withLater()
	return summary, packed.Bytes(), err
}

// decode reads the data of a record. One object after the other is decompressed and decoded, and shares its
// parts with those before, and with alike.
func decode(data []byte, alike object.Set) (Release, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return Release{}, err
	}
	var r Release
	var concealed []string
	var objects object.Set
	var pool object.Pool
	for _, o := range alike.Objects() {
		pool.Add(o)
	}
	settled := map[object.Ref]string{}
	d := json.NewDecoder(z)
	err = object.EachField(d, func(key string) error {
		switch key {
		case releaseKey:
			var text json.RawMessage
			if err := d.Decode(&text); err != nil {
				return err
			}
			r.later.fields = fieldsOfLater(text)
			return utiljson.Unmarshal(text, &r) // whole numbers as objects have them
		case concealedKey:
			return d.Decode(&concealed)
		case objectsKey:
			return object.EachItem(d, func(text []byte) error {
				var m member
				if err := utiljson.Unmarshal(text, &m); err != nil {
					return err
				}
				o := pool.Fold(object.Object{Body: m.Body, Origin: m.Origin})
				if m.Settled != "" {
					settled[o.Ref()] = m.Settled
				}
				return objects.Add(o)
			})
		}
		var part json.RawMessage
		if err := d.Decode(&part); err != nil {
			return err
		}
		if r.later.parts == nil {
			r.later.parts = map[string]json.RawMessage{}
		}
		r.later.parts[key] = part
		return nil
	})
	if err != nil {
		return Release{}, err
	}
	objects.Conceal(concealed)
	if r.Objects = objects; len(settled) > 0 {
		r.Settled = settled
	}
	r.shareNames()
	return r, nil
}

// shareNames lets the names of objects in lists be those of the objects themselves.
func (r *Release) shareNames() {
	for _, refs := range [][]object.Ref{r.Owned, r.Applied, r.Adopted, r.Kept} {
		for i, ref := range refs {
			if o, ok := r.Objects.Get(ref); ok {
				refs[i] = o.Ref()
			}
		}
	}
}

// union returns the refs of both lists, each once, sorted.
func union(a, b []object.Ref) []object.Ref {
	all := slices.Concat(a, b)
	slices.SortFunc(all, object.Ref.Compare)
	return slices.Compact(all)
}

// hide masks Secret values in the sentences of a release.
func hide(r Release) Release {
	secrets := object.SecretValues(r.Objects)
	r.Failure = object.Mask(strings.TrimSpace(r.Failure), secrets)
	r.Message = object.Mask(r.Message, secrets)
	if r.Found != nil {
		r.Found = &Found{Revision: r.Found.Revision, Message: object.Mask(r.Found.Message, secrets)}
	}
	return r
}
