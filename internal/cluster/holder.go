package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// fieldLists holds equal lists of fields once: most objects of a kind have the same ones. The zero value is
// empty and ready.
type fieldLists struct {
	mu    sync.Mutex
	lists map[string][]string
}

// holders is holdersOf with shared lists of fields.
func (l *fieldLists) holders(managed []metav1.ManagedFieldsEntry, live object.Object) []plan.Holder {
	holders := holdersOf(managed, live)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, h := range holders {
		key := strings.Join(h.Fields, "\n")
		if known, ok := l.lists[key]; ok {
			holders[i].Fields = known
			continue
		}
		if l.lists == nil {
			l.lists = map[string][]string{}
		}
		l.lists[key] = h.Fields
	}
	return holders
}

// holdersOf returns the field managers of a live object with the fields that they hold. It leaves out those
// of the status, and an entry that it cannot read.
func holdersOf(managed []metav1.ManagedFieldsEntry, live object.Object) []plan.Holder {
	var holders []plan.Holder
	for _, e := range managed {
		set, err := setOf(e)
		if e.Subresource == "status" || err != nil {
			continue
		}
		h := plan.Holder{Manager: e.Manager, Operation: string(e.Operation), Subresource: e.Subresource,
			Tool: isTool(e.Manager),
			Ours: e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""}
		if e.Time != nil {
			h.Time = e.Time.UTC()
		}
		set.Leaves().Iterate(func(p fieldpath.Path) {
			if path, ok := dotted(p, live.Body); ok && !strings.HasPrefix(path, "status.") && path != "status" {
				h.Fields = append(h.Fields, unique.Make(path).Value()) // most objects have the same ones
			}
		})
		slices.Sort(h.Fields)
		holders = append(holders, h)
	}
	return holders
}

// dotted writes a path of managed fields as object.Differences does. It is false where the object does not
// have the field.
func dotted(path fieldpath.Path, v any) (string, bool) {
	text := ""
	for _, e := range path {
		switch x := v.(type) {
		case map[string]any:
			if e.FieldName == nil {
				return "", false
			}
			below, ok := x[*e.FieldName]
			if !ok {
				return "", false
			}
			text, v = object.Join(text, *e.FieldName), below
		case []any:
			i := slices.IndexFunc(x, func(item any) bool { return isElement(item, e) })
			if e.Index != nil {
				i = *e.Index
			}
			if i < 0 || i >= len(x) {
				return "", false
			}
			text, v = text+object.Elements(x)[i], x[i]
		default:
			return "", false
		}
	}
	return text, true
}

// Live is an object of the cluster with its field managers.
type Live struct {
	Object  object.Object
	managed []metav1.ManagedFieldsEntry
}

// Holders returns the field managers.
func (l Live) Holders() []plan.Holder { return holdersOf(l.managed, l.Object) }

// ReadLive reads one object with its field managers. The Body is nil when it does not exist.
func ReadLive(ctx context.Context, c *Cluster, ref object.Ref) (Live, error) {
	o, managed, err := c.read(ctx, ref, "")
	return Live{o, managed}, c.Explain(ctx, "get", ref, err)
}

// List lists the objects of the kind and the namespace of a ref, without those that are known. A
// nil function knows none.
func List(ctx context.Context, c *Cluster, of object.Ref, known func(object.Ref) bool) ([]Live, error) {
	from, err := c.collection(ctx, of, "")
	if err != nil {
		return nil, err
	}
	var all []Live
	for opt := (metav1.ListOptions{Limit: pageSize}); ; {
		page, err := from.page(ctx, opt, func(item *unstructured.Unstructured) bool {
			managed := item.GetManagedFields()
			if o := received(item); known == nil || !known(o.Ref()) {
				all = append(all, Live{o, managed})
			}
			return true
		})
		if err != nil {
			return nil, c.Explain(ctx, "list", of, err)
		}
		if opt.Continue = page.GetContinue(); opt.Continue == "" {
			return all, nil
		}
	}
}
