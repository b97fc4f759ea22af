package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/git"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/plan"
)

// Saved is a plan to be carried out later, or elsewhere. It contains no value of a Secret: the deploy renders
// again, and compares.
type Saved struct {
	Project     string `json:"project"`
	Environment string `json:"environment"`
	Commit      string `json:"commit,omitempty"`
	Tag         string `json:"tag,omitempty"`
	// Release is the newest release when the plan was made; 0: there was none.
	Release int         `json:"release"`
	Images  []image.Pin `json:"images,omitempty"`
	// Permits are those that the plan was made with.
	Permits
	Plan plan.Plan `json:"plan"`
	// Observed are the live objects that the plan compared with.
	Observed []SavedObject `json:"observed"`
}

// SavedObject is a live object as the plan found it.
type SavedObject struct {
	Ref     object.Ref `json:"ref"`
	UID     string     `json:"uid"`
	Version string     `json:"resourceVersion"`
}

// sealed is the file: a plan and the digest of its text.
type sealed struct {
	Format string          `json:"format"`
	Saved  json.RawMessage `json:"saved"`
	Digest string          `json:"digest"`
}

const savedFormat = "slipway plan 1"

// ErrNotSaved says that a file is not a saved plan.
var ErrNotSaved = errors.New("not a saved plan")

// ErrEdited says that a saved plan was changed after it was made.
var ErrEdited = errors.New("the saved plan was edited: its content does not match its digest")

// UnbuiltError says that a plan cannot be saved because an image does not exist yet.
type UnbuiltError struct{ Environment, Image string }

func (e *UnbuiltError) Error() string {
	return fmt.Sprintf("save the plan of %s: image %s is not in the registry yet, so its digest is unknown",
		e.Environment, e.Image)
}

// Save returns the text of a plan to be carried out later.
func Save(t Target, p Proposal, o Permits) ([]byte, error) {
	for _, pin := range p.Prepared.Images {
		if pin.Digest == "" {
			return nil, &UnbuiltError{Environment: t.Environment.Name, Image: pin.Reference()}
		}
	}
	s := Saved{
		Project: t.Source.Project.Name, Environment: t.Environment.Name, Commit: p.Prepared.Commit,
		Tag: p.Prepared.Tag, Release: p.Latest.Revision, Images: p.Prepared.Images,
		Permits: o, Plan: p.Plan, Observed: []SavedObject{},
	}
	for _, seen := range p.Observed {
		if seen.Live.Body != nil {
			version, _ := seen.Live.At("metadata", "resourceVersion").(string)
			s.Observed = append(s.Observed, SavedObject{Ref: seen.Ref, UID: p.uids[seen.Ref], Version: version})
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	file, err := json.MarshalIndent(sealed{Format: savedFormat, Saved: text, Digest: digestOf(text)}, "", "  ")
	return append(file, '\n'), err
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ReadSaved reads the text of a saved plan. It fails with ErrNotSaved, or with ErrEdited.
func ReadSaved(text []byte) (Saved, error) {
	var file sealed
	if err := json.Unmarshal(text, &file); err != nil || file.Format != savedFormat {
		return Saved{}, ErrNotSaved
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, file.Saved); err != nil || digestOf(compact.Bytes()) != file.Digest {
		return Saved{}, ErrEdited
	}
	var s Saved
	if err := json.Unmarshal(file.Saved, &s); err != nil {
		return Saved{}, fmt.Errorf("%w: %w", ErrNotSaved, err)
	}
	return s, nil
}

// ProposeSaved plans what a saved plan says: with its options, for its commit. It fails with a *StaleError
// where that is another plan by now.
func ProposeSaved(ctx context.Context, t Target, s Saved, o PrepareOptions) (Proposal, error) {
	if err := s.fits(t); err != nil {
		return Proposal{}, err
	}
	p, err := Propose(ctx, t, ProposeOptions{PrepareOptions: o, Permits: s.Permits})
	if err != nil {
		return p, err
	}
	return p, s.compare(p)
}

// StaleError says that a saved plan differs from what a deploy would do now, and what has moved since.
type StaleError struct {
	Environment string
	Moved       []string
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%v: since the plan of %s was made, %s", plan.ErrStale, e.Environment,
		strings.Join(e.Moved, "; "))
}

func (e *StaleError) Unwrap() error { return plan.ErrStale }

// fits fails before anything is rendered when the plan is for another environment or another commit.
func (s Saved) fits(t Target) error {
	if s.Project != t.Source.Project.Name || s.Environment != t.Environment.Name {
		return &StaleError{Environment: s.Environment, Moved: []string{fmt.Sprintf(
			"it is for %s → %s, not for %s → %s", s.Project, s.Environment, t.Source.Project.Name,
			t.Environment.Name)}}
	}
	if s.Commit != t.Source.Commit || s.Tag != t.Source.Tag {
		return &StaleError{Environment: s.Environment, Moved: []string{fmt.Sprintf(
			"the source moved from %s to %s", version(s.Tag, s.Commit), version(t.Source.Tag, t.Source.Commit))}}
	}
	return nil
}

// version names a state of the source: its tag, which has the state of uncommitted changes too.
func version(tag, commit string) string {
	if tag != "" {
		return tag
	}
	return git.Short(commit)
}

// compare fails with a *StaleError when a deploy would do something else than the saved plan, or to other
// objects.
func (s Saved) compare(p Proposal) error {
	uids := map[object.Ref]string{}
	for _, o := range s.Observed {
		uids[o.Ref] = o.UID
	}
	now := maps.Clone(p.uids)
	maps.DeleteFunc(now, func(_ object.Ref, uid string) bool { return uid == "" })
	if s.Release == p.Latest.Revision && s.Plan.Equal(p.Plan) && maps.Equal(uids, now) {
		return nil
	}
	stale := &StaleError{Environment: s.Environment, Moved: s.moved(p)}
	if len(stale.Moved) == 0 {
		stale.Moved = []string{"the plan has changed"}
	}
	return stale
}

// moved says what is different now: the release, the source's objects, images, and fields in the cluster with
// who changed them.
func (s Saved) moved(p Proposal) []string {
	var moved []string
	if s.Release != p.Latest.Revision {
		by := p.Latest.Who
		if by != "" {
			by = " by " + by
		}
		moved = append(moved, fmt.Sprintf("release %d was deployed%s", p.Latest.Revision, by))
	}
	for _, pin := range p.Prepared.Images {
		i := slices.IndexFunc(s.Images, func(was image.Pin) bool { return was.Name == pin.Name })
		if i >= 0 && s.Images[i].Digest != pin.Digest {
			moved = append(moved, fmt.Sprintf("image %s became %s", s.Images[i].Reference(), pin.Reference()))
		}
	}
	if s.Plan.Digest != p.Plan.Digest && len(moved) == 0 {
		moved = append(moved, "the source renders to other objects")
	}
	for _, seen := range p.Observed {
		if text := s.movedObject(p, seen); text != "" {
			moved = append(moved, text)
		}
	}
	return moved
}

// movedObject says how one live object differs from when the plan was made; empty when it does not matter.
func (s Saved) movedObject(p Proposal, seen plan.Observed) string {
	was, before := s.change(s.Plan, seen.Ref)
	now, after := s.change(p.Plan, seen.Ref)
	i := slices.IndexFunc(s.Observed, func(o SavedObject) bool { return o.Ref == seen.Ref })
	switch {
	case i >= 0 && p.uids[seen.Ref] == "":
		return fmt.Sprintf("%s was deleted", seen.Ref)
	case i < 0 && p.uids[seen.Ref] != "":
		return fmt.Sprintf("%s was created%s", seen.Ref, byHolder(maker(seen.Holders)))
	case i >= 0 && s.Observed[i].UID != p.uids[seen.Ref]:
		return fmt.Sprintf("%s was deleted and created again%s", seen.Ref, byHolder(maker(seen.Holders)))
	case before == after && reflect.DeepEqual(plain(was), plain(now)):
		return ""
	case now.Action == plan.Blocked || now.Action == was.Action && now.Reason != was.Reason:
		return fmt.Sprintf("%s: %s", seen.Ref, strings.TrimPrefix(now.Reason, seen.Ref.String()+": "))
	}
	var fields []string
	for _, f := range now.Fields {
		if !slices.ContainsFunc(was.Fields, func(o plan.Field) bool {
			return o.Path == f.Path && reflect.DeepEqual(plain(o), plain(f))
		}) {
			fields = append(fields, f.Path+byHolder(holderOf(seen, f.Path)))
		}
	}
	for _, f := range was.Fields {
		if !slices.ContainsFunc(now.Fields, func(o plan.Field) bool { return o.Path == f.Path }) {
			fields = append(fields, f.Path+byHolder(holderOf(seen, f.Path)))
		}
	}
	if len(fields) == 0 {
		return fmt.Sprintf("%s: %s instead of %s", seen.Ref, now.Action, was.Action)
	}
	return fmt.Sprintf("%s changed: %s", seen.Ref, strings.Join(fields, ", "))
}

func (Saved) change(p plan.Plan, ref object.Ref) (plan.Change, bool) {
	i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Ref == ref })
	if i < 0 {
		return plan.Change{}, false
	}
	return p.Changes[i], true
}

// plain is a value as JSON reads it: numbers of a plan that was read from a file are of one type.
func plain(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return v
	}
	return out
}

func byHolder(h *plan.Holder) string {
	if h == nil {
		return ""
	}
	if h.Subresource != "" {
		return fmt.Sprintf(" by %s (%s)", h.Manager, h.Subresource)
	}
	return " by " + h.Manager
}
