package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"slipway/internal/object"
)

// ErrStale says that a plan differs from what a deploy would do now.
var ErrStale = errors.New("the plan is stale")

// Input is everything that a plan depends on.
type Input struct {
	Environment, Commit string
	// Base is the digest of the set that the last release recorded.
	Base string
	// Desired is the set as it would be applied, with namespaces.
	Desired object.Set
	// Recorded is the set of the last release.
	Recorded object.Set
	// Observed has one entry for each object of Desired and for each of Owned.
	Observed []Observed
	// Owned are the objects that earlier releases of this environment recorded.
	Owned []object.Ref
	// Rollback: Desired is the set of an earlier release. Its Jobs stay as they are: a rollback must not run an
	// old migration again, or wait for one.
	Rollback bool
	// Delete: the whole environment is deleted, and what is being deleted already is waited for.
	Delete bool
	// Named are objects, "KIND/NAME", that may be deleted although their kind or an annotation protects them.
	Named []string
	// Added are observed objects that others added. They are deleted where Named has them.
	Added []object.Ref
	// Ran are Jobs that the last release ran as they are desired, and that their TTL has deleted.
	Ran []object.Ref
	// Users are the live pods of the namespaces of surplus objects, their ReplicaSets and the
	// ControllerRevisions. Unlisted says why they could not be listed.
	Users    []object.Object
	Unlisted string
	// Order is what Arrange made of Desired.
	Order Order
	// Unfinished: the last release did not become healthy, so that its hooks run again.
	Unfinished bool
}

// protected kinds hold other objects or data, and are never deleted.
var protected = []string{"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}

// Protected says that objects of a kind are never deleted, because they hold other objects or data.
func Protected(kind string) bool { return slices.Contains(protected, kind) }

// sightings are the observed objects by their names.
type sightings map[object.Ref]*Observed

// of returns what was observed of an object.
func (s sightings) of(ref object.Ref) Observed {
	if o, ok := s[ref]; ok {
		return *o
	}
	return Observed{Ref: ref, Err: errors.New("not observed")}
}

// Make decides what would change.
func Make(in Input) Plan {
	observed := make(sightings, len(in.Observed))
	for i := range in.Observed {
		observed[in.Observed[i].Ref] = &in.Observed[i]
	}
	p := Plan{
		Environment: in.Environment, Commit: in.Commit, Base: in.Base,
		Digest: in.Desired.Digest(), Changes: make([]Change, 0, in.Desired.Len()), Complete: true,
	}
	var hooks []Change
	uids := map[string]bool{}
	for _, want := range in.Desired.Objects() {
		o := observed.of(want.Ref())
		if id := uid(o.Live); id != "" {
			uids[id] = true
		}
		if runs, isHook := in.Order.runsOf(want.Ref()); isHook {
			hooks = append(hooks, decideHook(o, in, runs)...)
			continue
		}
		c := decide(o, in)
		if status := want.Body["status"]; !in.Rollback && says(status) {
			c.Lost = append(c.Lost, Field{Path: "status", Before: status})
		}
		if c.Action == Blocked || o.Unverified != "" {
			p.Complete = false
		}
		p.Changes = append(p.Changes, c)
	}
	users := usedBy(in, observed)
	for _, ref := range surplus(in) {
		o := observed.of(ref)
		// An object that moved to another API group is served under both names: deleting the old
		// name would delete the new one.
		if uids[uid(o.Live)] || (o.Live.Body == nil && o.Err == nil) {
			continue
		}
		c := decideSurplus(o, in)
		if slices.Contains(in.Added, ref) && c.Action == Delete {
			c.Reason = "added since the release, and named by --prune"
		}
		if c.Action == Delete && MayBeUsed(ref) {
			keepUsed(&c, users[ref], in.Unlisted)
		}
		if c.Action == Blocked {
			p.Complete = false
		}
		p.Changes = append(p.Changes, c)
	}
	p.noteIrreversible(in, observed)
	p.makeWay(in, observed)
	p.deleteFirst(in, observed)
	p.addHooks(hooks, in)
	p.number(in.Order, observed)
	maskSecrets(p.Changes, in.Desired)
	return p
}

// What introduces the server's words in the reason of a change that is not Blocked.
const (
	cannotGoBack = "it cannot go back: "
	fieldsStay   = "fields of other tools stay: "
	rewritten    = "replaced by a patch, because an apply is not enough: "
)

// maskSecrets masks Secret values in the messages of the server, and decrypted values in every field.
func maskSecrets(changes []Change, desired object.Set) {
	var secrets []string
	concealed := object.Forms(desired.Concealed())
	for i, c := range changes {
		for j := range c.Fields {
			maskDecrypted(&c.Fields[j], concealed)
		}
		for j := range c.Lost {
			maskDecrypted(&c.Lost[j], concealed)
		}
		if c.Action != Blocked && !strings.Contains(c.Reason, cannotGoBack) &&
			!strings.Contains(c.Reason, fieldsStay) && !strings.Contains(c.Reason, rewritten) {
			continue // words of ours
		}
		if secrets == nil {
			secrets = object.SecretValues(desired)
		}
		changes[i].Reason = object.Mask(c.Reason, secrets)
	}
}

// maskDecrypted hides decrypted values of a field, and the value that one of them replaces.
func maskDecrypted(f *Field, values []string) {
	if len(values) == 0 {
		return
	}
	after := object.HideIn(f.After, values)
	if !reflect.DeepEqual(after, f.After) && f.Before != nil {
		f.Before = object.Hidden
	}
	f.Before, f.After = object.HideIn(f.Before, values), after
}

// isDeleting says that an object is being deleted.
func isDeleting(o object.Object) bool { return o.At("metadata", "deletionTimestamp") != nil }

// decide says what applying the desired object would do.
func decide(o Observed, in Input) Change {
	c := Change{Ref: o.Ref, step: stageOf(o.Ref), Reason: o.Unverified}
	switch {
	case in.Rollback && isJob(o.Ref):
		c.Action, c.Reason = Keep, "a rollback does not run a Job again"
	case in.Rollback && o.Refused && o.Live.Body != nil:
		// One object that cannot go back must not keep all others from it.
		c.Action, c.Reason = Keep, cannotGoBack+refusal(o)
	case o.Err != nil:
		c.Action, c.Reason = Blocked, refusal(o)
	case in.Rollback && o.Fixed && !mustReplace(o):
		c.Action, c.Reason = Keep, cannotGoBack+o.Why+" cannot be changed after the object was created"
	case o.Fixed:
		c.Action, c.Reason = replace(o, in)
		c.Fields = differences(o.Live, o.Merged, !holdsData(o.Ref))
	case (o.Live.Body == nil || isDeleting(o.Live)) && slices.Contains(in.Ran, o.Ref):
		c.Action, c.Reason = Keep, "it ran with the last release, and its TTL has deleted it"
	case o.Live.Body == nil:
		c.Action = Create
	case isDeleting(o.Live):
		c.Action, c.Reason = Blocked, deleting(o)
	default:
		if c.Action = Update; !o.Settled {
			c.Fields = differences(o.Live, o.Merged, o.Unverified != "")
		}
		if c.Reason == "" {
			c.Reason = takeover(o, in)
		}
		if o.Rewritten != "" {
			c.Reason = strings.TrimPrefix(c.Reason+"; ", "; ") + rewritten + o.Rewritten
		}
		if len(c.Fields) == 0 {
			c.Action, c.Reason = Keep, ""
		}
	}
	if o.Err == nil && o.Unverified == "" && (c.Action != Keep || c.Reason == "") {
		if !o.Settled {
			c.Lost = object.Lost(o.Desired, o.Merged)
		}
		c.Lost = append(c.Lost, o.Stays...)
		c.Mutators, c.Unlisted = o.Mutators, o.Unlisted
	}
	return c
}

// LostText says that a field does not have the value that the source gives it, and which webhook or policy
// may have changed it.
// unlisted is why not all of these could be listed.
func LostText(f Field, mutators []string, unlisted string) string {
	text := lostText(f)
	switch {
	case !IsChanged(f):
	case len(mutators) > 0:
		text += ": " + strings.Join(mutators, " or ") + " may have changed it"
	case unlisted != "":
		text += ": whether a webhook or a policy changed it is unknown: " + unlisted
	}
	return text
}

// IsChanged says that a webhook may be why a field does not have its value: another value, or an element
// that is not there, which may have got another key. A field that is left out alone is not served.
func IsChanged(f Field) bool {
	return f.Before != nil && (f.After != nil || strings.Contains(f.Path, "["))
}

func lostText(f Field) string {
	if f.Path == "status" {
		return "status is in the source, and is not applied: controllers write it"
	}
	text := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(data)
	}
	switch {
	case f.Before == nil:
		return fmt.Sprintf("%s is not in the source, and stays %s in the cluster", f.Path, text(f.After))
	case f.After == nil:
		return fmt.Sprintf("%s is %s in the source, and the server drops it", f.Path, text(f.Before))
	}
	return fmt.Sprintf("%s is %s in the source, and %s in the cluster", f.Path, text(f.Before), text(f.After))
}

// takeover names the tools that lose the object, or fields of it, to this environment, or that keep fields
// which the server does not let go; empty when none does.
func takeover(o Observed, in Input) string {
	from := strings.Join(o.Claimed, ", ")
	switch owned := slices.Contains(in.Owned, o.Ref); {
	case o.Unclaimed != "":
		return fieldsStay + o.Unclaimed
	case owned && from == "":
		return ""
	case owned:
		return "takes over the fields of " + from
	case from == "":
		return "exists already, and becomes part of " + in.Environment + staying(o.Stay)
	}
	return "exists already, managed by " + from + ", and becomes part of " + in.Environment + staying(o.Stay)
}

// maxStay is how many fields a plan names that stay until the next release.
const maxStay = 5

func staying(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	text := strings.Join(fields[:min(len(fields), maxStay)], ", ")
	if n := len(fields) - maxStay; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return "; stays until the next release: " + text
}

// deleting is why an object that is being deleted cannot be applied.
func deleting(o Observed) string {
	text := "it is being deleted: wait until it is gone"
	if held := HeldBy(o.Live, o.Holders, o.Desired); held != "" {
		text = fmt.Sprintf("it is being deleted, and held by %s: wait until its owner removes it", held)
	}
	if at := o.Desired.Origin.String(); at != "" {
		text += " (" + at + ")"
	}
	return text
}

// says reports whether a value has anything in it that is not empty, as the status of generated manifests has
// not.
func says(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			if says(below) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, says)
	}
	return v != nil && v != "" && v != false && v != int64(0)
}

// refusal returns why an object is refused, with its file and line.
func refusal(o Observed) string {
	text, at := o.Err.Error(), o.Desired.Origin.String()
	if at == "" || strings.Contains(text, at) {
		return text
	}
	return text + " (" + at + ")"
}

func isJob(r object.Ref) bool { return r.Group == "batch" && r.Kind == "Job" }

// decideSurplus decides what happens to an owned object that exists and is no longer desired.
func decideSurplus(o Observed, in Input) Change {
	c := Change{Ref: o.Ref, Action: Delete, step: deletion(stageOf(o.Ref)), Reason: "no longer in the source"}
	switch {
	case o.Err != nil:
		c.Action, c.Reason = Blocked, o.Err.Error()
	case IsNamed(in.Named, o.Ref):
		c.Reason = "no longer in the source, and named by --prune"
	case Protected(o.Ref.Kind):
		c.Action = Keep
		c.Reason = fmt.Sprintf("no longer in the source, but a %s is not deleted with the rest: "+
			"--prune %s/%s deletes it", o.Ref.Kind, o.Ref.Kind, o.Ref.Name)
	case isDeleting(o.Live) && len(o.Live.Holds()) > 0 && !in.Delete:
		c.Action = Keep
		was, _ := in.Recorded.Get(o.Ref)
		c.Reason = "no longer in the source, already being deleted, and held by " + HeldBy(o.Live, o.Holders, was)
	case isDeleting(o.Live):
		c.Reason = "no longer in the source, already being deleted"
	case keepMark(o.Live) != "":
		c.Action, c.Reason = Keep, "no longer in the source, but its annotation "+keepMark(o.Live)+" keeps it"
	}
	return c
}

// keepMark returns the annotation by which an object asks Helm, Argo CD, Flux, kapp, kluctl or cli-utils not
// to delete it; empty without one.
func keepMark(o object.Object) string {
	for _, mark := range []struct{ annotation, value string }{
		{"helm.sh/resource-policy", "keep"},
		{"argocd.argoproj.io/sync-options", "Prune=false"},
		{"argocd.argoproj.io/sync-options", "Delete=false"},
		{"kustomize.toolkit.fluxcd.io/prune", "disabled"},
		{"kapp.k14s.io/delete-strategy", "orphan"},
		{"kluctl.io/skip-delete", "true"},
		{"cli-utils.sigs.k8s.io/on-remove", "keep"},
		{"client.lifecycle.config.k8s.io/deletion", "detach"},
	} {
		if hasValue(o, mark.annotation, mark.value) {
			return mark.annotation + ": " + mark.value
		}
	}
	return ""
}

// surplus returns the owned objects that are not desired, each once.
func surplus(in Input) []object.Ref {
	var refs []object.Ref
	for _, r := range in.Owned {
		if _, ok := in.Desired.Get(r); !ok {
			refs = append(refs, r)
		}
	}
	slices.SortFunc(refs, object.Ref.Compare)
	return slices.Compact(refs)
}

func uid(o object.Object) string {
	s, _ := o.At("metadata", "uid").(string)
	return s
}

func inOrder(a, b Change) int {
	byKind := cmp.Compare(rankOf(a.Ref), rankOf(b.Ref))
	byRef := a.Ref.Compare(b.Ref)
	if a.step >= deletion(Rest) { // deletes run backwards
		byKind, byRef = -byKind, -byRef
	}
	return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.step, b.step), byKind, byRef)
}

// Count returns the number of changes of one action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}

// Empty says that nothing would change, and nothing is blocked.
func (p Plan) Empty() bool { return p.Count(Keep)+p.Count(Skip) == len(p.Changes) }

// Equal says that both plans do the same from the same start. The commit does not count: two commits with the
// same content make the same plan.
func (p Plan) Equal(other Plan) bool {
	p.Commit, other.Commit = "", ""
	if !slices.EqualFunc(p.Changes, other.Changes, func(a, b Change) bool { return isSameText(a, b) }) {
		return false
	}
	p.Changes, other.Changes = nil, nil
	return isSameText(p, other)
}

// isSameText compares the JSON of two values. One change at a time: the text of thousands is not held.
func isSameText(v, other any) bool {
	a, errA := json.Marshal(v)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
