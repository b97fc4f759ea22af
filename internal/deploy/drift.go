package deploy

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/cluster"
	"slipway/internal/image"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// Drift is how an environment differs from the release that it recorded last. Secret values are masked.
type Drift struct {
	Environment string         `json:"environment"`
	Release     int            `json:"release"`
	Status      release.Status `json:"status"`
	// Changed are the recorded objects that differ, are gone, or cannot be compared.
	Changed []Drifted `json:"changed"`
	// Added are objects that carry the environment's name or labels and belong to no release.
	Added []Stray `json:"added,omitempty"`
	// Others are further objects of the same kinds that a person's tool made, and that neither a release nor
	// a controller owns. They are not drift.
	Others []Stray `json:"others,omitempty"`
	// Kept are fields that controllers, webhooks and restarts added. They are not drift: a deploy keeps them.
	Kept []Addition `json:"kept,omitempty"`
	// Tags are tags that name another content than the recorded one now. The pods run what was recorded.
	Tags []MovedTag `json:"tags,omitempty"`
	// Keepers are other tools that deploy objects of the release.
	Keepers []Keeper `json:"keepers,omitempty"`
	// Pauses keep an agent from changing the environment.
	Pauses release.Pauses `json:"pauses,omitempty"`
	// Notes say what was not looked at, and why.
	Notes []string `json:"notes,omitempty"`

	observed []plan.Observed
}

// Drifted is one recorded object that differs.
type Drifted struct {
	Ref object.Ref `json:"ref"`
	// What is "changed", "deleted" or "unknown".
	What   string         `json:"what"`
	Fields []DriftedField `json:"fields,omitempty"`
	// Reason says why the object cannot be compared, or set back.
	Reason string        `json:"reason,omitempty"`
	Origin object.Origin `json:"origin,omitzero"`
}

// The ways in which a recorded object differs.
const (
	Changed = "changed"
	Deleted = "deleted"
	Unknown = "unknown"
)

// DriftedField is one field that differs.
type DriftedField struct {
	Path     string `json:"path"`
	Recorded any    `json:"recorded,omitempty"` // nil: the release does not set it
	Live     any    `json:"live,omitempty"`     // nil: it was removed
	// By holds the field; nil where the server does not say who changed it.
	By *plan.Holder `json:"by,omitempty"`
}

// Stray is an object that no release made.
type Stray struct {
	Ref object.Ref `json:"ref"`
	// Mark is what it shares with the environment: an annotation or a label.
	Mark string       `json:"mark,omitempty"`
	By   *plan.Holder `json:"by,omitempty"`

	body object.Object
}

// Addition is a field that a manager added to some objects.
type Addition struct {
	By    plan.Holder  `json:"by"`
	Field string       `json:"field"`
	On    []object.Ref `json:"on"`
}

// Adder names who added the field. What a webhook adds to our apply is an update in the name of our manager.
func (a Addition) Adder() string {
	if a.By.Manager == cluster.Manager && a.By.Operation == "Update" {
		return "an admission webhook"
	}
	return a.By.Manager
}

// MovedTag is a tag that names another content than in the release.
type MovedTag struct {
	Image    string `json:"image"` // repository:tag
	Recorded string `json:"recorded"`
	Now      string `json:"now"`
}

// Count counts the fields that differ, and the objects that are gone or added.
func (d Drift) Count() int {
	n := len(d.Added)
	for _, o := range d.Changed {
		switch {
		case o.What == Deleted:
			n++
		default:
			n += len(o.Fields)
		}
	}
	return n
}

// Unread returns the first object that could not be compared.
func (d Drift) Unread() (Drifted, bool) {
	i := slices.IndexFunc(d.Changed, func(o Drifted) bool { return o.What == Unknown })
	if i < 0 {
		return Drifted{}, false
	}
	return d.Changed[i], true
}

// FindDrift compares an environment with its newest release. It writes nothing. It fails with release.ErrNone
// when there is none.
func FindDrift(ctx context.Context, t Target) (Drift, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return Drift{}, err
	}
	return FindDriftFrom(ctx, t, past)
}

// FindDriftFrom is FindDrift with the record as the caller has just read it.
func FindDriftFrom(ctx context.Context, t Target, past release.Past) (Drift, error) {
	d, err := driftFrom(ctx, t, past)
	if err != nil {
		return d, err
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.Tags = movedTags(ctx, t, past.Latest) })
	findStrays(ctx, t, past.Latest, &d)
	wg.Wait()
	return d, nil
}

// driftFrom compares the recorded objects: it is the plan of the release that is recorded already, read from
// the other side.
func driftFrom(ctx context.Context, t Target, past release.Past) (Drift, error) {
	return driftBy(ctx, t, past, look{force: true})
}

func driftBy(ctx context.Context, t Target, past release.Past, l look) (Drift, error) {
	rel := past.Latest
	d := Undrifted(t, past)
	switch rel.Status {
	case "":
		return d, fmt.Errorf("%s: %w", t.Environment.Name, release.ErrNone)
	case release.Deleted:
		return d, nil
	}
	p, err := propose(ctx, t.as(rel), recorded(rel), past, l)
	if err != nil {
		return d, err
	}
	d.observed, d.Keepers = p.Observed, p.Keepers
	for _, c := range p.Plan.Changes {
		seen, ok := p.seen(c.Ref)
		if !ok || seen.Desired.Body == nil {
			continue // of an earlier release
		}
		if o, ok := driftOf(c, seen); ok {
			d.Changed = append(d.Changed, o)
		}
	}
	d.Kept = additions(p.Observed, d.Changed)
	locateDrifted(t, rel, d.Changed)
	return d, nil
}

// maxTemplate bounds the templates that locateDrifted reads: a repository may have any file.
const maxTemplate = 1 << 20

// locateDrifted gives objects of templates the line that states them, where the source is what was released:
// records have lines of plain manifests alone.
func locateDrifted(t Target, rel release.Release, changed []Drifted) {
	if t.Source.Dirty || rel.Dirty || rel.Commit == "" || t.Source.Commit != rel.Commit {
		return
	}
	root, err := os.OpenRoot(t.Source.Project.Dir)
	if err != nil {
		return // without the files the record is all there is
	}
	defer root.Close()
	for i, o := range changed {
		file := filepath.FromSlash(o.Origin.File)
		if info, err := root.Stat(file); o.Origin.Line > 0 || err != nil || info.Size() > maxTemplate {
			continue
		}
		if text, err := root.ReadFile(file); err == nil {
			changed[i].Origin.Line = origin.PlaceInTemplate(finding.At(o.Origin), string(text), o.Ref, nil).Line
		}
	}
}

// recorded prepares a release to be deployed as it is recorded.
func recorded(rel release.Release) Prepared {
	return Prepared{Set: rel.Objects, Images: rel.Images, Commit: rel.Commit, Tag: rel.Tag, Dirty: rel.Dirty,
		RollbackOf: rel.Revision, Revert: true, Override: rel.Override}
}

// driftOf reads a change that would restore an object as what has happened to it.
func driftOf(c plan.Change, seen plan.Observed) (Drifted, bool) {
	o := Drifted{Ref: c.Ref, What: Changed, Origin: seen.Desired.Origin}
	switch {
	case c.Action == plan.Create:
		o.What = Deleted
		return o, true
	case c.Action == plan.Blocked, c.Action == plan.Keep && seen.Refused && !isJob(c.Ref):
		o.What, o.Reason = Unknown, strings.TrimSuffix(c.Reason, " ("+o.Origin.String()+")")
		return o, true
	}
	for _, f := range c.Fields {
		o.Fields = append(o.Fields, DriftedField{Path: f.Path, Recorded: f.After, Live: f.Before,
			By: holderOf(seen, f.Path)})
	}
	return o, len(o.Fields) > 0
}

func isJob(r object.Ref) bool { return r.Group == "batch" && r.Kind == "Job" }

// ProposeRevert plans to deploy the newest release again as it was recorded. Fields that others changed
// since become ours again. Added objects are deleted where prune, a list of "KIND/NAME", names them. It
// fails with a *RevertError when that release is not healthy.
func ProposeRevert(ctx context.Context, t Target, prune []string) (Proposal, error) {
	past, err := t.Records().Past(ctx)
	if err != nil {
		return Proposal{}, err
	}
	switch rel := past.Latest; rel.Status {
	case "":
		return Proposal{}, fmt.Errorf("%s: %w", t.Environment.Name, release.ErrNone)
	case release.Healthy:
		prepared := recorded(rel)
		var d Drift
		findStrays(ctx, t, rel, &d)
		for _, s := range d.Added {
			if plan.IsNamed(prune, s.Ref) {
				prepared.Added = append(prepared.Added, s.Ref)
			} else {
				prepared.Left = append(prepared.Left, s.Ref)
			}
		}
		prepared.Prune = prune
		return propose(ctx, t, prepared, past, look{force: true})
	default:
		return Proposal{}, &RevertError{Environment: t.Environment.Name, Release: rel}
	}
}

// RevertError says that the newest release is not one to go back to.
type RevertError struct {
	Environment string
	Release     release.Release
}

func (e *RevertError) Error() string {
	return fmt.Sprintf("release %d of %s is %s: only a healthy release is restored", e.Release.Revision,
		e.Environment, e.Release.Status)
}

// UnreadError says that an object could not be compared with the release.
type UnreadError struct {
	Environment string
	Object      Drifted
}

func (e *UnreadError) Error() string {
	return fmt.Sprintf("drift of %s: %s cannot be compared: %s", e.Environment, e.Object.Ref,
		strings.TrimPrefix(e.Object.Reason, e.Object.Ref.String()+": "))
}

// holderOf returns the manager that wrote a field last; nil where we hold it alone, or no manager: a field
// that was removed has no manager.
func holderOf(seen plan.Observed, field string) *plan.Holder {
	var last *plan.Holder
	for i, h := range seen.Holders {
		holds := func(path string) bool { return overlap(seen.Live, path, field) }
		if !h.Ours && slices.ContainsFunc(h.Fields, holds) && (last == nil || h.Time.After(last.Time)) {
			last = &seen.Holders[i]
		}
	}
	return last
}

// overlap says that two paths of an object are the same, or one is below the other. Elements of a list may be
// named by different keys.
func overlap(o object.Object, a, b string) bool {
	if a != "" && b != "" && (object.IsWithin(a, b) || object.IsWithin(b, a)) {
		return true
	}
	first, errA := object.Steps(a)
	second, errB := object.Steps(b)
	if errA != nil || errB != nil || len(first) == 0 || len(second) == 0 || first[0].Key != second[0].Key {
		return false
	}
	first, second = object.Positions(o.Body, first), object.Positions(o.Body, second)
	n := min(len(first), len(second))
	return reflect.DeepEqual(first[:n], second[:n])
}

// additions collects what others added to the objects and a deploy keeps, each manager and field once.
func additions(observed []plan.Observed, changed []Drifted) []Addition {
	drifted := map[object.Ref][]DriftedField{}
	for _, o := range changed {
		drifted[o.Ref] = o.Fields
	}
	var all []Addition
	for _, o := range observed {
		if o.Desired.Body == nil {
			continue
		}
		for _, h := range o.Holders {
			for _, path := range h.Fields {
				isDrift := func(f DriftedField) bool { return overlap(o.Live, path, f.Path) }
				// A tool's field that is not drift is a default, except a restart.
				if h.Ours || h.Tool && !strings.HasSuffix(path, restarted) || sets(o.Desired, path) ||
					slices.ContainsFunc(drifted[o.Ref], isDrift) {
					continue
				}
				all = addTo(all, h, path, o.Ref)
			}
		}
	}
	return all
}

// restarted ends the path of what `kubectl rollout restart` writes.
const restarted = `["kubectl.kubernetes.io/restartedAt"]`

func addTo(all []Addition, h plan.Holder, path string, ref object.Ref) []Addition {
	i := slices.IndexFunc(all, func(a Addition) bool {
		return a.By.Manager == h.Manager && a.By.Operation == h.Operation && a.Field == path
	})
	if i < 0 {
		i, all = len(all), append(all, Addition{By: h, Field: path})
	}
	all[i].On = append(all[i].On, ref)
	return all
}

// sets says that an object has a field.
func sets(o object.Object, path string) bool {
	steps, err := object.Steps(path)
	if err != nil {
		return false
	}
	_, ok := object.Value(o.Body, steps)
	return ok
}

// movedTags asks the registries what the tags of a release name now. A registry that does not answer is left
// out: status and a deploy say so.
func movedTags(ctx context.Context, t Target, rel release.Release) []MovedTag {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	var moved []MovedTag
	for _, pin := range rel.Images {
		if pin.Tag == "" || pin.Digest == "" {
			continue
		}
		name := pin.Repository + ":" + pin.Tag
		now, err := image.Resolve(ctx, name, t.Reach(image.Options{}))
		if err == nil && now.Digest != pin.Digest {
			moved = append(moved, MovedTag{Image: name, Recorded: pin.Digest, Now: now.Digest})
		}
	}
	return moved
}

// Hands names who changed what, the latest first: "kubectl-edit 5 min ago" is for the caller to print.
func (d Drift) Hands() []plan.Holder {
	var all []plan.Holder
	add := func(h *plan.Holder) {
		if h != nil && !slices.ContainsFunc(all, func(o plan.Holder) bool { return o.Manager == h.Manager }) {
			all = append(all, *h)
		}
	}
	for _, o := range d.Changed {
		for _, f := range o.Fields {
			add(f.By)
		}
	}
	for _, s := range d.Added {
		add(s.By)
	}
	slices.SortStableFunc(all, func(a, b plan.Holder) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(a.Manager, b.Manager))
	})
	return all
}
