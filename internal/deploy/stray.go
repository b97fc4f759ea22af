package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"

	"slipway/internal/cluster"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// identity are the labels that say which application an object belongs to.
var identity = []string{"app.kubernetes.io/instance", "app.kubernetes.io/part-of", "app.kubernetes.io/name",
	"app", "k8s-app"}

// findStrays looks for objects of the recorded kinds that no release made.
func findStrays(ctx context.Context, t Target, rel release.Release, d *Drift) {
	kinds := listable(rel)
	lists, errs := make([][]cluster.Live, len(kinds)), make([]error, len(kinds))
	ours := map[object.Ref]bool{}
	for _, ref := range slices.Concat(rel.Objects.Refs(), rel.Owned, rel.Kept) {
		ours[ref] = true
	}
	isOurs := func(ref object.Ref) bool { return ours[ref] }
	cluster.Each(len(kinds), func(i int) { lists[i], errs[i] = cluster.List(ctx, t.Cluster, kinds[i], isOurs) })
	marks := marksOf(rel.Objects)
	for i, list := range lists {
		if _, ok := errors.AsType[*cluster.UnknownKindError](errs[i]); ok {
			continue // its objects are reported as gone
		}
		if errs[i] != nil {
			d.Notes = append(d.Notes, "did not look for added objects: "+errs[i].Error())
			continue
		}
		for _, live := range list {
			sortStray(t.owners(rel), marks, live, d)
		}
	}
	byRef := func(a, b Stray) int { return a.Ref.Compare(b.Ref) }
	slices.SortFunc(d.Added, byRef)
	slices.SortFunc(d.Others, byRef)
}

// listable are the kinds and namespaces of a release, each once.
func listable(rel release.Release) []object.Ref {
	var kinds []object.Ref
	for _, r := range rel.Objects.Refs() {
		r.Name = ""
		if !slices.Contains(kinds, r) && r.Namespace != "" {
			kinds = append(kinds, r)
		}
	}
	return kinds
}

// marksOf are the labels by which objects of a release are known.
func marksOf(set object.Set) map[string]bool {
	marks := map[string]bool{}
	for _, o := range set.Objects() {
		for _, label := range labelsOf(o) {
			marks[label] = true
		}
	}
	return marks
}

func labelsOf(o object.Object) []string {
	var all []string
	for _, at := range [][]string{{"metadata", "labels"}, {"spec", "template", "metadata", "labels"}} {
		labels, _ := o.At(at...).(map[string]any)
		for _, key := range identity {
			if v, ok := labels[key].(string); ok {
				all = append(all, key+"="+v)
			}
		}
	}
	return all
}

// sortStray notes an object that no release made, if it is not a controller's or another environment's.
func sortStray(owners []string, marks map[string]bool, live cluster.Live, d *Drift) {
	o, ref := live.Object, live.Object.Ref()
	of, _ := o.Annotations()[ownerAnnotation].(string)
	parents, _ := o.At("metadata", "ownerReferences").([]any)
	if of != "" && !slices.Contains(owners, of) || len(parents) > 0 {
		return
	}
	s := Stray{Ref: ref, By: maker(live.Holders()), body: o}
	i := slices.IndexFunc(labelsOf(o), func(label string) bool { return marks[label] })
	switch {
	case of == "" && s.By != nil && isController(s.By.Manager):
		return // such as the claims of a StatefulSet
	case of != "":
		s.Mark = ownerAnnotation + ": " + of
	case i >= 0:
		s.Mark = labelsOf(o)[i]
	case isClusters(o) || s.By != nil && !s.By.Tool:
		return
	default:
		d.Others = append(d.Others, s)
		return
	}
	d.Added = append(d.Added, s)
}

// isController says that a field manager is a controller of Kubernetes or an operator, by its name.
func isController(manager string) bool {
	return slices.ContainsFunc([]string{"kube-", "controller", "operator", "manager"}, func(word string) bool {
		return strings.Contains(manager, word)
	})
}

// isClusters says that an object is in every namespace, or keeps the records of a tool.
func isClusters(o object.Object) bool {
	kind, _ := o.At("type").(string)
	for _, prefix := range []string{"helm.sh/", "slipway.dev/", "kubernetes.io/service-account-token"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	switch r := o.Ref(); r.Kind {
	case "ServiceAccount":
		return r.Name == "default"
	case "ConfigMap":
		return r.Name == "kube-root-ca.crt"
	case "Service":
		return r.Namespace == "default" && r.Name == "kubernetes"
	}
	return false
}

// maker is the manager with the oldest entry.
func maker(holders []plan.Holder) *plan.Holder {
	var first *plan.Holder
	for i, h := range holders {
		if first == nil || h.Time.Before(first.Time) {
			first = &holders[i]
		}
	}
	return first
}
