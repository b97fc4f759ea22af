package cluster

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway/internal/object"
)

const (
	// listFrom is how many objects of one kind and namespace are worth a list.
	listFrom = 3
	// pageSize bounds the memory of a list.
	pageSize = 200
	// dear is how many objects of others in a list cost more than one read.
	dear = 20
)

// RecordType is the type of the Secrets that hold records. They are large, and no objects of a project.
const RecordType = "slipway.dev/release"

// target is an object to read, in the preferred version when Version is empty.
type target struct {
	ref     object.Ref
	version string
	// secretType is the type of a Secret, where it is known.
	secretType string
}

// reading is what reading an object gave. The Body of live is nil when it does not exist.
type reading struct {
	live    object.Object
	managed []metav1.ManagedFieldsEntry
	err     error
}

// readOne reads one object.
func (c *Cluster) readOne(ctx context.Context, w target) reading {
	live, managed, err := c.read(ctx, w.ref, w.version)
	return reading{live, managed, err}
}

// readAll reads objects, and calls take for each, several at a time, with its index. Where there are many of
// one kind and namespace it lists these, unless the user may not list them or too many others are among them.
func (c *Cluster) readAll(ctx context.Context, all []target, take func(int, reading)) {
	groups := map[target][]int{} // by kind, version and namespace
	for i, w := range all {
		w.ref.Name, w.secretType = "", ""
		groups[w] = append(groups[w], i)
	}
	var single []int
	var many [][]int
	for _, group := range groups {
		if len(group) < listFrom {
			single = append(single, group...)
		} else {
			many = append(many, group)
		}
	}
	rest := make([][]int, len(many))
	Each(len(many), func(i int) { rest[i] = c.readList(ctx, all, take, many[i]) })
	single = slices.Concat(append(rest, single)...)
	slices.Sort(single)
	Each(len(single), func(i int) { take(single[i], c.readOne(ctx, all[single[i]])) })
}

// readList lists the objects of one kind and namespace. It returns those that it has not read.
func (c *Cluster) readList(ctx context.Context, all []target, take func(int, reading), group []int) (
	rest []int) {
	first := all[group[0]]
	of, err := c.collection(ctx, first.ref, first.version)
	if err != nil {
		return group // each with its own error
	}
	missing := make(map[string]int, len(group))
	for _, i := range group {
		missing[all[i].ref.Name] = i
	}
	remaining := func() []int {
		for _, i := range missing {
			rest = append(rest, i)
		}
		return rest
	}
	opt := metav1.ListOptions{Limit: pageSize}
	if isCoreSecret(first.ref) {
		opt.FieldSelector = "type!=" + RecordType
	}
	for {
		page, err := of.page(ctx, opt, func(item *unstructured.Unstructured) bool {
			if i, ok := missing[item.GetName()]; ok {
				delete(missing, item.GetName())
				managed := item.GetManagedFields()
				take(i, reading{live: received(item), managed: managed})
			}
			return len(missing) > 0
		})
		if err != nil && (isUnanswered(err) || ctx.Err() != nil) {
			for _, i := range missing {
				take(i, reading{err: err})
			}
			return nil
		}
		if err != nil { // not allowed, or the pages have expired
			return remaining()
		}
		if opt.Continue = page.GetContinue(); opt.Continue == "" || len(missing) == 0 {
			break
		}
		if n := page.GetRemainingItemCount(); n != nil && *n > int64(dear*len(missing)) {
			return remaining()
		}
	}
	for _, i := range missing { // these do not exist, unless the list leaves them out
		if isCoreSecret(first.ref) && (all[i].secretType == "" || all[i].secretType == RecordType) {
			rest = append(rest, i)
		} else {
			take(i, reading{})
		}
	}
	return rest
}

func isCoreSecret(ref object.Ref) bool { return ref.Group == "" && ref.Kind == "Secret" }

// GetAll is ReadAll with all results.
func (c *Cluster) GetAll(ctx context.Context, refs []object.Ref) ([]object.Object, []error) {
	all, errs := make([]object.Object, len(refs)), make([]error, len(refs))
	c.ReadAll(ctx, refs, func(i int, live object.Object, err error) { all[i], errs[i] = live, err })
	return all, errs
}

// ReadAll reads objects, in the version that the server prefers, and calls take for each, several at a time,
// with its index. The Body of one that does not exist is nil. The errors are client-go's: see Explain.
func (c *Cluster) ReadAll(ctx context.Context, refs []object.Ref, take func(int, object.Object, error)) {
	targets := make([]target, len(refs))
	for i, ref := range refs {
		targets[i] = target{ref: ref}
	}
	c.readAll(ctx, targets, func(i int, r reading) { take(i, r.live, r.err) })
}
