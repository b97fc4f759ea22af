package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// tools are the first words of the field managers of tools that apply manifests, and of those with which
// people edit objects by hand. Controllers and admission webhooks are not among them: what they write stays.
var tools = strings.Fields("kubectl helm argocd kustomize flux k9s lens openlens freelens mozilla headlamp " +
	"octant dashboard terraform hashicorp pulumi skaffold werf nelm kluctl kapp tilt okteto devspace timoni")

func isTool(manager string) bool {
	word := strings.ToLower(manager)
	if i := strings.IndexFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}); i > 0 {
		word = word[:i]
	}
	return slices.Contains(tools, word) || manager == "node-fetch"
}

const (
	// restarted is what `kubectl rollout restart` writes. Its removal would restart the pods once more.
	restarted = "kubectl.kubernetes.io/restartedAt"
	// lastApplied is kubectl's own note of what it applied.
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// claim is what other tools hold of an object that is to be ours alone: server-side apply never removes a
// field that another manager holds, so that a field which left the source would stay for ever.
type claim struct {
	// managers are the tools, each once.
	managers []string
	// fields are the tools' fields that no controller holds too.
	fields *fieldpath.Set
	// ours are the fields that this program has set, kept are those that stay with other managers.
	ours, kept *fieldpath.Set
	// held are the paths above a field of kept: their live values stay.
	held map[string]bool
	// layout is how the object's lists and maps are merged.
	layout layout
	// entries are the managed fields with those of the tools added to our own.
	entries []metav1.ManagedFieldsEntry
	// own: there is an entry of ours to add to the one of server-side apply, see Rewrite.
	own bool
}

// claimOf reads the managed fields of a live object. Entries of a subresource stay ("kubectl scale" is a
// conflict of its own), and those in another version of the API than desired's, whose paths may differ.
// With adopting only what desired sets is claimed.
func claimOf(managed []metav1.ManagedFieldsEntry, desired object.Object, adopting bool) (claim, error) {
	c := claim{fields: &fieldpath.Set{}, ours: &fieldpath.Set{}, kept: &fieldpath.Set{}, held: map[string]bool{},
		layout: newLayout()}
	wanted := any(wire(desired).Body)
	spared := func(p fieldpath.Path) bool {
		name := p[len(p)-1].FieldName
		return name != nil && *name == restarted ||
			adopting && at(wanted, p) == nil && (name == nil || *name != lastApplied)
	}
	for _, e := range managed {
		set, err := setOf(e)
		if err != nil {
			return claim{}, err
		}
		c.layout.add(set)
		switch {
		case e.Subresource == "" && e.APIVersion == desired.APIVersion() && isTool(e.Manager):
			rest := &fieldpath.Set{}
			set.Iterate(func(p fieldpath.Path) {
				if spared(p) {
					rest.Insert(p.Copy())
				}
			})
			if !rest.Empty() {
				c.keep(rest)
				if e.FieldsV1, err = fieldsOf(rest); err != nil {
					return claim{}, err
				}
				c.entries = append(c.entries, e)
			}
			if set = set.Difference(rest); !set.Empty() {
				c.managers = append(c.managers, e.Manager)
				c.fields = c.fields.Union(set)
			}
		case e.Manager == Manager && e.Subresource == "" && e.APIVersion == desired.APIVersion():
			c.ours = c.ours.Union(set)
			c.own = c.own || e.Operation == metav1.ManagedFieldsOperationUpdate
		default:
			c.keep(set)
			c.entries = append(c.entries, e)
		}
	}
	slices.Sort(c.managers)
	c.managers = slices.Compact(c.managers)
	fields, err := fieldsOf(c.ours.Union(c.fields))
	if err != nil {
		return claim{}, err
	}
	now := metav1.Now()
	c.entries = append(c.entries, metav1.ManagedFieldsEntry{
		Manager: Manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: desired.APIVersion(),
		Time: &now, FieldsType: "FieldsV1", FieldsV1: fields,
	})
	c.fields = c.fields.Difference(c.kept)
	return c, nil
}

// keep notes fields that stay with their managers.
func (c *claim) keep(set *fieldpath.Set) {
	c.kept = c.kept.Union(set)
	set.Iterate(func(p fieldpath.Path) {
		for i := 1; i < len(p); i++ {
			c.held[p[:i].String()] = true
		}
	})
}

// stays says that a manager other than the claimed ones holds what is at a path, or something below it.
func (c claim) stays(p fieldpath.Path) bool { return c.held[p.String()] || c.kept.Has(p) }

func fieldsOf(set *fieldpath.Set) (*metav1.FieldsV1, error) {
	fields := &metav1.FieldsV1{}
	raw, err := set.ToJSON()
	fields.SetRawBytes(raw)
	return fields, err
}

func setOf(e metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if e.FieldsV1 == nil {
		return set, nil
	}
	if err := set.FromJSON(e.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("read the managed fields of %s: %w", e.Manager, err)
	}
	return set, nil
}

// strip is body without the fields of a set that wanted does not set. It is what server-side apply makes of
// the object once the fields are ours, before the server fills in defaults: what was above a removed field
// goes too, with its defaults, unless wanted sets something there or another manager does.
func (c claim) strip(body, wanted any, set *fieldpath.Set) (changed bool) {
	set.Iterate(func(p fieldpath.Path) {
		isMap := p[len(p)-1].FieldName != nil && c.layout.parents[p.String()]
		if isMap || c.stays(p) || at(wanted, p) != nil || at(body, p) == nil {
			return
		}
		changed = true
		body = without(body, p)
		for up := p[:len(p)-1]; len(up) > 0; up = up[:len(up)-1] {
			if c.stays(up) || at(wanted, up) != nil {
				break
			}
			if up[len(up)-1].FieldName != nil {
				body = without(body, up)
			}
		}
	})
	return changed
}

// at follows a path of managed fields; nil where it leads nowhere.
func at(v any, path fieldpath.Path) any {
	for _, e := range path {
		switch x := v.(type) {
		case map[string]any:
			if e.FieldName == nil {
				return nil
			}
			v = x[*e.FieldName]
		case []any:
			i := slices.IndexFunc(x, func(item any) bool { return isElement(item, e) })
			if i < 0 {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// without removes what is at a path, in place where v is a map.
func without(v any, path fieldpath.Path) any {
	e := path[0]
	switch x := v.(type) {
	case map[string]any:
		if e.FieldName == nil {
			return x
		}
		if child, ok := x[*e.FieldName]; ok && len(path) > 1 {
			x[*e.FieldName] = without(child, path[1:])
		} else {
			delete(x, *e.FieldName)
		}
		return x
	case []any:
		i := slices.IndexFunc(x, func(item any) bool { return isElement(item, e) })
		switch {
		case i < 0:
		case len(path) > 1:
			x[i] = without(x[i], path[1:])
		default:
			return slices.Delete(x, i, i+1)
		}
	}
	return v
}

// isElement says whether e selects a list's item. A key that the item leaves out has its default there.
func isElement(item any, e fieldpath.PathElement) bool {
	if e.Value != nil {
		return reflect.DeepEqual((*e.Value).Unstructured(), item)
	}
	m, ok := item.(map[string]any)
	if e.Key == nil || !ok {
		return false
	}
	found := false
	for _, k := range *e.Key {
		have, ok := m[k.Name]
		if !ok {
			continue
		}
		if fmt.Sprint(have) != fmt.Sprint(k.Value.Unstructured()) {
			return false
		}
		found = true
	}
	return found
}

// claimed asks the server what is left of an object without the claimed fields: it fills in defaults.
func (s *survey) claimed(ctx context.Context, o *plan.Observed, managed []metav1.ManagedFieldsEntry) error {
	if o.Live.Body == nil || plan.Protected(o.Ref.Kind) {
		return nil // namespaces, definitions and volumes are shared
	}
	c, err := claimOf(managed, o.Desired, o.Adopting)
	if err == nil && o.Adopting {
		o.Stay, err = later(managed, o)
	}
	if err != nil || len(c.managers) == 0 {
		return err
	}
	o.Claimed = c.managers
	stripped := o.Merged.Clone()
	if !c.strip(stripped.Body, wire(o.Desired).Body, c.fields) {
		return nil
	}
	r := rewrite{cluster: s.c, live: o.Live, desired: o.Desired, claim: c}
	result, err := r.complete(ctx, stripped)
	switch {
	case apierrors.IsConflict(err):
		return errMoved
	case apierrors.IsInvalid(err):
		o.Unclaimed = fmt.Sprintf("%s: %v", strings.Join(o.Claimed, ", "), err)
		o.Claimed = nil
		return nil
	case err != nil:
		return err
	}
	o.Merged, o.Rewritten = result, r.refusal
	return nil
}

// later returns the fields of tools that the first release of an object leaves, and the next one removes.
func later(managed []metav1.ManagedFieldsEntry, o *plan.Observed) ([]string, error) {
	c, err := claimOf(managed, o.Desired, false)
	if err != nil {
		return nil, err
	}
	var fields []string
	wanted := wire(o.Desired).Body
	c.fields.Leaves().Iterate(func(p fieldpath.Path) {
		name := p[len(p)-1].FieldName
		if at(wanted, p) != nil || name != nil && *name == lastApplied {
			return
		}
		if path, ok := dotted(p, o.Live.Body); ok {
			fields = append(fields, path)
		}
	})
	slices.Sort(fields)
	return slices.Compact(fields), nil
}

// errMoved says that a controller changed an object while it was looked at.
var errMoved = errors.New("the object changes all the time")

// tries is how often an object is looked at that a controller changes meanwhile.
const tries = 5

// unmoved has the server refuse a patch when the object has changed since it was read.
func unmoved(live object.Object) operation {
	return operation{Op: "replace", Path: "/metadata/resourceVersion", Value: live.At("metadata",
		"resourceVersion")}
}

// operation is one step of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// replaced is the patch that makes one body of the other, field by field at the top and in metadata.
func replaced(live, wanted map[string]any, prefix string) []operation {
	var ops []operation
	for _, k := range slices.Sorted(keys(live, wanted)) {
		if prefix != "" && k != "labels" && k != "annotations" && k != "finalizers" {
			continue // the server's own
		}
		was, now := live[k], wanted[k]
		path := prefix + "/" + k
		switch {
		case prefix == "" && k == "metadata":
			w, _ := was.(map[string]any)
			n, _ := now.(map[string]any)
			ops = append(ops, replaced(w, n, path)...)
		case prefix == "" && k == "status" || reflect.DeepEqual(was, now):
		case now == nil:
			ops = append(ops, operation{Op: "remove", Path: path})
		default:
			ops = append(ops, operation{Op: "add", Path: path, Value: now})
		}
	}
	return ops
}

func keys(a, b map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if _, both := a[k]; !both && !yield(k) {
				return
			}
		}
	}
}

// Claim makes the fields that other tools hold of an object ours, without changing any: the next apply
// removes those that the object does not set. With adopting they stay with the tools.
func Claim(ctx context.Context, c *Cluster, o object.Object, adopting bool) error {
	for try := 1; ; try++ {
		err := claimOnce(ctx, c, o, adopting)
		if err == nil || !apierrors.IsConflict(err) || try == tries {
			return c.Explain(ctx, "take over", o.Ref(), err)
		}
	}
}

func claimOnce(ctx context.Context, c *Cluster, o object.Object, adopting bool) error {
	endpoint, err := c.endpoint(ctx, o.Ref(), version(o))
	if err != nil {
		return err
	}
	live, err := endpoint.Get(ctx, o.Ref().Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	claim, err := claimOf(live.GetManagedFields(), o, adopting)
	if err != nil || len(claim.managers) == 0 && !claim.own {
		return err
	}
	patch, err := json.Marshal([]operation{
		{Op: "replace", Path: "/metadata/managedFields", Value: claim.entries},
		unmoved(object.Object{Body: live.Object}),
	})
	if err != nil {
		return err
	}
	_, err = endpoint.Patch(ctx, o.Ref().Name, types.JSONPatchType, patch,
		metav1.PatchOptions{FieldManager: Manager})
	return err
}
