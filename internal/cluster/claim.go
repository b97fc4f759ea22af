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
	// granular are the paths above a managed field: a map there goes only when it is empty. held are those
	// above a field of a controller: a list's item there stays.
	granular, held map[string]bool
	// entries are the managed fields with those of the tools added to our own.
	entries []metav1.ManagedFieldsEntry
}

// claimOf reads the managed fields of a live object. Entries of a subresource stay ("kubectl scale" is a
// conflict of its own), and those in another version of the API than desired's, whose paths may differ.
// With adopting only what desired sets is claimed.
func claimOf(managed []metav1.ManagedFieldsEntry, desired object.Object, adopting bool) (claim, error) {
	c := claim{fields: &fieldpath.Set{}, granular: map[string]bool{}, held: map[string]bool{}}
	wanted := any(wire(desired).Body)
	spared := func(p fieldpath.Path) bool {
		name := p[len(p)-1].FieldName
		return name != nil && *name == restarted ||
			adopting && at(wanted, p) == nil && (name == nil || *name != lastApplied)
	}
	kept, ours := &fieldpath.Set{}, &fieldpath.Set{}
	for _, e := range managed {
		set, err := setOf(e)
		if err != nil {
			return claim{}, err
		}
		addParents(c.granular, set)
		switch {
		case e.Subresource == "" && e.APIVersion == desired.APIVersion() && isTool(e.Manager):
			rest := &fieldpath.Set{}
			set.Iterate(func(p fieldpath.Path) {
				if spared(p) {
					rest.Insert(p.Copy())
				}
			})
			if !rest.Empty() {
				if e.FieldsV1, err = fieldsOf(rest); err != nil {
					return claim{}, err
				}
				c.entries = append(c.entries, e)
			}
			if set = set.Difference(rest); !set.Empty() {
				c.managers = append(c.managers, e.Manager)
				c.fields = c.fields.Union(set)
			}
		case e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == "":
			ours = set
		default:
			addParents(c.held, set)
			kept = kept.Union(set)
			c.entries = append(c.entries, e)
		}
	}
	slices.Sort(c.managers)
	c.managers = slices.Compact(c.managers)
	fields, err := fieldsOf(ours.Union(c.fields))
	if err != nil {
		return claim{}, err
	}
	now := metav1.Now()
	c.entries = append(c.entries, metav1.ManagedFieldsEntry{
		Manager: Manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: desired.APIVersion(),
		Time: &now, FieldsType: "FieldsV1", FieldsV1: fields,
	})
	c.fields = c.fields.Difference(kept)
	return c, nil
}

func fieldsOf(set *fieldpath.Set) (*metav1.FieldsV1, error) {
	fields := &metav1.FieldsV1{}
	raw, err := set.ToJSON()
	fields.SetRawBytes(raw)
	return fields, err
}

// addParents adds the paths above the members of a set.
func addParents(parents map[string]bool, set *fieldpath.Set) {
	set.Iterate(func(p fieldpath.Path) {
		for i := 1; i < len(p); i++ {
			parents[p[:i].String()] = true
		}
	})
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

// strip is merged without the claimed fields that desired does not set. It is what server-side apply
// makes of the object once the fields are ours, before the server fills in defaults.
func (c claim) strip(merged, desired object.Object) (stripped object.Object, changed bool) {
	merged = merged.Clone()
	body, wanted := any(merged.Body), any(wire(desired).Body)
	c.fields.Iterate(func(p fieldpath.Path) {
		isMap := p[len(p)-1].FieldName != nil && c.granular[p.String()]
		if isMap || c.held[p.String()] || at(wanted, p) != nil || at(body, p) == nil {
			return
		}
		changed = true
		body = without(body, p)
		for up := p[:len(p)-1]; len(up) > 0; up = up[:len(up)-1] {
			if v := at(body, up); !isEmpty(v) || at(wanted, up) != nil {
				break
			}
			body = without(body, up)
		}
	})
	return merged, changed
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
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
	if err != nil || len(c.managers) == 0 {
		return err
	}
	o.Claimed = c.managers
	stripped, changed := c.strip(o.Merged, o.Desired)
	if !changed {
		return nil
	}
	endpoint, err := s.c.endpoint(o.Ref, version(o.Desired))
	if err != nil {
		return err
	}
	patch, err := json.Marshal(append(replaced(o.Live.Body, stripped.Body, ""), unmoved(o.Live)))
	if err != nil {
		return err
	}
	result, err := endpoint.Patch(ctx, o.Ref.Name, types.JSONPatchType, patch,
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: Manager})
	switch {
	case apierrors.IsConflict(err):
		return errMoved
	case apierrors.IsInvalid(err):
		o.Unclaimed = fmt.Sprintf("%s: %v", strings.Join(o.Claimed, ", "), err)
		o.Claimed = nil
		return nil
	}
	o.Merged = received(result)
	return err
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
	endpoint, err := c.endpoint(o.Ref(), version(o))
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
	if err != nil || len(claim.managers) == 0 {
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
