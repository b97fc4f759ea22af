package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// Some changes are valid, and server-side apply cannot carry them: a port with another number and the same
// name while another manager holds the old one, or a default that no manager set, forbidden beside the
// new values (rollingUpdate beside `type: Recreate`). They are written by a patch that makes of the live
// object what the source says, and a dry run of the same patch is what the plan shows.

// rewrite finds the patch for one object.
type rewrite struct {
	cluster       *Cluster
	live, desired object.Object
	claim         claim
	// refusal is why an object without the patch would be refused.
	refusal string
}

// rounds bounds how often the server is asked about one object: it may report one fault at a time.
const rounds = 8

// rewritten tries what a patch makes of an object whose apply the server has refused as invalid.
func (s *survey) rewritten(ctx context.Context, o *plan.Observed, managed []metav1.ManagedFieldsEntry,
	refused error) error {
	if o.Live.Body == nil || o.Live.At("metadata", "deletionTimestamp") != nil {
		return refused
	}
	r, err := newRewrite(s.c, o.Live, managed, o.Desired, o.Adopting)
	if err != nil {
		return err
	}
	result, err := r.complete(ctx, r.merged())
	switch {
	case apierrors.IsInvalid(err) && o.Adopting:
		// Other tools' fields beside those of the source cannot stay.
		o.Adopting = false
		if err := s.rewritten(ctx, o, managed, refused); err != nil {
			o.Adopting = true
			return err
		}
		return nil
	case apierrors.IsConflict(err):
		return errMoved
	case apierrors.IsInvalid(err):
		return refused
	case err != nil:
		return err
	}
	o.Merged, o.Claimed, o.Rewritten = result, r.claim.managers, firstCause(refused)
	return nil
}

func newRewrite(c *Cluster, live object.Object, managed []metav1.ManagedFieldsEntry, desired object.Object,
	adopting bool) (rewrite, error) {
	claim, err := claimOf(managed, desired, adopting)
	return rewrite{cluster: c, live: live, desired: desired, claim: claim}, err
}

// merged is the live object with what desired sets, and without what it no longer sets.
func (r *rewrite) merged() object.Object {
	body, wanted := r.live.Clone(), wire(r.desired).Clone()
	r.claim.strip(body.Body, wanted.Body, r.claim.ours.Union(r.claim.fields))
	body.Body = r.claim.layout.merge(body.Body, wanted.Body, nil).(map[string]any)
	r.retype(body)
	return body
}

// retype takes out what belongs to another type: where the source gives a mapping another `type`, the fields
// beside it that no manager set are the old one's defaults. It returns the paths of those mappings. The type
// of a Service is the server's concern, which also knows the addresses.
func (r *rewrite) retype(body object.Object) (paths []string) {
	wanted := any(wire(r.desired).Body)
	p := pruner{body: body.Body, wanted: wanted, held: r.heldIn(body)}
	var visit func(v, live any, steps []string)
	visit = func(v, live any, steps []string) {
		m, ok := v.(map[string]any)
		l, _ := live.(map[string]any)
		if !ok || l == nil {
			return
		}
		now, was := m["type"], l["type"]
		ours := len(steps) > 1 && walk(wanted, append(steps, "type")) == now
		if ours && was != nil && now != was && p.children(steps) {
			paths = append(paths, fmt.Sprintf("%s has the defaults of type %v", strings.Join(steps, "."), was))
		}
		for k, child := range m {
			visit(child, l[k], append(steps[:len(steps):len(steps)], k))
		}
	}
	visit(body.Body["spec"], r.live.Body["spec"], []string{"spec"})
	slices.Sort(paths)
	return paths
}

// retyped rewrites an object whose apply would leave the defaults of another type.
func (s *survey) retyped(ctx context.Context, o *plan.Observed, managed []metav1.ManagedFieldsEntry) error {
	if o.Live.Body == nil || o.Rewritten != "" {
		return nil
	}
	r, err := newRewrite(s.c, o.Live, managed, o.Desired, o.Adopting)
	if err != nil {
		return err
	}
	body := o.Merged.Clone()
	left := r.retype(body)
	if len(left) == 0 {
		return nil
	}
	result, err := r.complete(ctx, body)
	if apierrors.IsConflict(err) {
		return errMoved
	}
	if err == nil {
		o.Merged, o.Rewritten = result, strings.Join(left, ", ")
	}
	return nil // as the server would leave it
}

// complete asks the server what becomes of the live object with a body, and takes out what is refused and
// the source does not set. The error is the last refusal.
func (r *rewrite) complete(ctx context.Context, o object.Object) (object.Object, error) {
	for range rounds {
		result, err := r.send(ctx, o, metav1.DryRunAll)
		if !apierrors.IsInvalid(err) {
			return result, err
		}
		if r.refusal == "" {
			r.refusal = firstCause(err)
		}
		if !r.prune(o, causesOf(err)) {
			return object.Object{}, err
		}
	}
	return object.Object{}, apierrors.NewInvalid(groupKind(r.desired.Ref()), r.desired.Ref().Name, nil)
}

// send writes a body over the live object, which must be unchanged.
func (r *rewrite) send(ctx context.Context, o object.Object, dryRun ...string) (object.Object, error) {
	endpoint, err := r.cluster.endpoint(ctx, r.desired.Ref(), version(r.desired))
	if err != nil {
		return object.Object{}, err
	}
	patch, err := json.Marshal(append(replaced(r.live.Body, o.Body, ""), unmoved(r.live)))
	if err != nil {
		return object.Object{}, err
	}
	result, err := endpoint.Patch(ctx, r.desired.Ref().Name, types.JSONPatchType, patch,
		metav1.PatchOptions{DryRun: dryRun, FieldManager: Manager})
	return received(result), err
}

// prune takes out of a body what the causes of a refusal name, or what is beside it: fields that the source
// does not set and no manager holds, and items of a list that the source sets without them.
func (r *rewrite) prune(o object.Object, causes []metav1.StatusCause) (changed bool) {
	wanted := any(wire(r.desired).Body)
	held := r.heldIn(o)
	for _, cause := range causes {
		steps := stepsOf(cause.Field)
		if strings.HasSuffix(cause.Message, "field is immutable") || len(steps) == 0 {
			continue
		}
		p := pruner{body: o.Body, wanted: wanted, held: held}
		changed = p.extras(steps, true) || p.field(steps) || p.around(steps) || p.extras(steps, false) || changed
	}
	return changed
}

// heldIn are the fields of a body that other managers keep, and those above them, by their position.
func (r *rewrite) heldIn(o object.Object) map[string]bool {
	held := map[string]bool{}
	r.claim.kept.Iterate(func(p fieldpath.Path) {
		v, place := any(o.Body), ""
		for _, e := range p {
			switch x := v.(type) {
			case map[string]any:
				if e.FieldName == nil || x[*e.FieldName] == nil {
					return
				}
				v, place = x[*e.FieldName], place+"/"+*e.FieldName
			case []any:
				i := slices.IndexFunc(x, func(item any) bool { return isElement(item, e) })
				if i < 0 {
					return
				}
				v, place = x[i], place+"/"+strconv.Itoa(i)
			default:
				return
			}
			held[place] = true
		}
	})
	return held
}

// pruner changes a body in place. The items of a list that wanted sets come first in body, in the same order.
type pruner struct {
	body, wanted any
	held         map[string]bool
}

// field removes the field itself when no manager holds it.
func (p pruner) field(steps []string) bool {
	if walk(p.body, steps) == nil || walk(p.wanted, steps) != nil || p.held["/"+strings.Join(steps, "/")] {
		return false
	}
	parent, ok := walk(p.body, steps[:len(steps)-1]).(map[string]any)
	if ok {
		delete(parent, steps[len(steps)-1])
	}
	return ok
}

// around removes the fields within and beside a field that no manager holds. The server fills in defaults of
// those that still have one.
func (p pruner) around(steps []string) bool {
	if p.children(steps) {
		return true
	}
	const shallow = 2 // beside spec.x there is too much
	return len(steps) > shallow && p.children(steps[:len(steps)-1])
}

func (p pruner) children(steps []string) (changed bool) {
	parent, _ := walk(p.body, steps).(map[string]any)
	for _, k := range slices.Sorted(keys(parent, nil)) {
		changed = p.field(append(steps[:len(steps):len(steps)], k)) || changed
	}
	return changed
}

// extras removes the items of the innermost list on the way to a field that wanted sets without them; with
// within only when the field is in one of them.
func (p pruner) extras(steps []string, within bool) bool {
	for i := len(steps); i > 0; i-- {
		have, ok := walk(p.body, steps[:i]).([]any)
		want, set := walk(p.wanted, steps[:i]).([]any)
		if !ok || !set || len(have) <= len(want) {
			continue
		}
		if within {
			if i == len(steps) {
				return false
			}
			if n, err := strconv.Atoi(steps[i]); err != nil || n < len(want) {
				return false
			}
		}
		parent, ok := walk(p.body, steps[:i-1]).(map[string]any)
		if ok {
			parent[steps[i-1]] = have[:len(want)]
		}
		return ok
	}
	return false
}

// walk follows the steps of a path of the server; nil where it leads nowhere.
func walk(v any, steps []string) any {
	for _, s := range steps {
		switch x := v.(type) {
		case map[string]any:
			v = x[s]
		case []any:
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// stepsOf splits spec.ports[1].name.
func stepsOf(path string) []string {
	var steps []string
	for _, m := range step().FindAllStringSubmatch("."+path, -1) {
		steps = append(steps, m[1]+m[2])
	}
	return steps
}

func causesOf(err error) []metav1.StatusCause {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || status.ErrStatus.Details == nil {
		return nil
	}
	return status.ErrStatus.Details.Causes
}

// firstCause is the first thing that the server has against an object.
func firstCause(err error) string {
	if causes := causesOf(err); len(causes) > 0 {
		return fmt.Sprintf("%s: %s", causes[0].Field, causes[0].Message)
	}
	return err.Error()
}

// Rewrite writes an object of which Observe says that it is Rewritten, and makes its fields ours. Apply then
// changes nothing of it.
func Rewrite(ctx context.Context, c *Cluster, o object.Object, adopting bool) error {
	for try := 1; ; try++ {
		err := rewriteOnce(ctx, c, o, adopting)
		if err != nil && (!apierrors.IsConflict(err) || try == tries) {
			return c.Explain(ctx, "rewrite", o.Ref(), err)
		}
		if err == nil {
			return Claim(ctx, c, o, adopting)
		}
	}
}

func rewriteOnce(ctx context.Context, c *Cluster, o object.Object, adopting bool) error {
	live, managed, err := c.read(ctx, o.Ref(), version(o))
	if err != nil || live.Body == nil {
		return err
	}
	r, err := newRewrite(c, live, managed, o, adopting)
	if err != nil {
		return err
	}
	body := r.merged()
	if _, err := r.complete(ctx, body); err != nil {
		return err
	}
	_, err = r.send(ctx, body)
	return err
}
