package kustomize

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/filters/refvar"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// markVarSource notes a var at the resource that it takes its value from.
func markVarSource(m *resources, v types.Var) error {
	id := resid.NewResIdWithNamespace(v.ObjRef.GVK(), v.ObjRef.Name, v.ObjRef.Namespace)
	matches := id.GvknEquals
	if id.Namespace != "" || id.IsClusterScoped() {
		matches = id.Equals
	}
	var found []*resource.Resource
	for _, r := range m.list {
		if slices.ContainsFunc(ids(r), matches) {
			found = append(found, r)
		}
	}
	if len(found) > 1 {
		return fmt.Errorf("%s is in %s and %s", v.Name, m.origins[found[0]], m.origins[found[1]])
	}
	if len(found) == 1 {
		found[0].AppendRefVarName(v)
	}
	return nil
}

// resolveVars replaces $(NAME) by the value of the var.
func resolveVars(m *resources) error {
	values := map[string]any{}
	for _, v := range m.vars.AsSlice() {
		value, err := varValue(m, v)
		if err != nil {
			return fmt.Errorf("vars: %w", err)
		}
		values[v.Name] = value
	}
	if len(values) == 0 {
		return nil
	}
	replace := refvar.MakePrimitiveReplacer(map[string]int{}, values)
	for _, fs := range m.specs.VarReference {
		if err := filterAll(refvar.Filter{MappingFunc: replace, FieldSpec: fs})(m); err != nil {
			return err
		}
	}
	return nil
}

func varValue(m *resources, v types.Var) (any, error) {
	for _, r := range m.list {
		if !slices.Contains(r.GetRefVarNames(), v.Name) {
			continue
		}
		value, err := r.GetFieldValue(v.FieldRef.FieldPath)
		if err != nil {
			return nil, fmt.Errorf("%s: %s has no field %s", v.Name, refOf(r.CurId()), v.FieldRef.FieldPath)
		}
		return value, nil
	}
	return nil, fmt.Errorf("%s: %s %s is not among the resources", v.Name, v.ObjRef.Kind, v.ObjRef.Name)
}

// dropLocal drops resources that are only for Kustomize.
func dropLocal(m *resources) error {
	var err error
	m.list = slices.DeleteFunc(m.list, func(r *resource.Resource) bool {
		if r.IsNilOrEmpty() {
			return true
		}
		if e := valid(r.YNode()); e != nil && err == nil {
			err = about(m, r)(e)
		}
		local, ok := r.GetAnnotations(konfig.IgnoredByKustomizeAnnotation)[konfig.IgnoredByKustomizeAnnotation]
		return ok && local != "false"
	})
	m.index = nil
	return err
}

// dropNotes removes the library's notes from a resource, except those that the overlay asks for.
func dropNotes(r *resource.Resource, asked map[string]bool) error {
	annotations := r.GetAnnotations()
	for _, key := range resource.BuildAnnotations {
		delete(annotations, key)
	}
	if !asked[types.OriginAnnotations] {
		delete(annotations, "config.kubernetes.io/origin")
	}
	if !asked[types.TransformerAnnotations] {
		delete(annotations, "alpha.config.kubernetes.io/transformations")
	}
	return r.SetAnnotations(annotations)
}

// The kinds that are first and last in the command's order, unless the kustomization has sortOptions.
var (
	first = []string{
		"Namespace", "ResourceQuota", "StorageClass", "CustomResourceDefinition", "ServiceAccount",
		"PodSecurityPolicy", "Role",
		"ClusterRole", "RoleBinding", "ClusterRoleBinding", "ConfigMap", "Secret", "Endpoints", "Service",
		"LimitRange", "PriorityClass",
		"PersistentVolume", "PersistentVolumeClaim", "Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget",
	}
	last = []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)

// sortResources puts the resources in the order that the overlay asks for.
func sortResources(m *resources, options *types.SortOptions) error {
	if options == nil {
		options = &types.SortOptions{Order: types.LegacySortOrder}
	}
	switch {
	case options.Order == types.FIFOSortOrder && options.LegacySortOptions != nil:
		return errors.New("sortOptions: legacySortOptions needs order legacy")
	case options.Order == types.FIFOSortOrder:
		return nil
	case options.Order != types.LegacySortOrder:
		return errors.New("sortOptions: order must be fifo or legacy")
	}
	orders := options.LegacySortOptions
	if orders == nil {
		orders = &types.LegacySortOptions{OrderFirst: first, OrderLast: last}
	}
	place := map[string]int{}
	for i, kind := range orders.OrderFirst {
		place[kind] = i - len(orders.OrderFirst)
	}
	for i, kind := range orders.OrderLast {
		place[kind] = i + 1
	}
	ranks := make([]rank, len(m.list))
	for i, r := range m.list {
		ranks[i] = rankOf(r, place)
	}
	slices.SortStableFunc(ranks, rank.compare)
	for i := range ranks {
		m.list[i] = ranks[i].r
	}
	return m.checkUnique()
}

// rank is the position of a resource in the order.
type rank struct {
	r                 *resource.Resource
	gvk               resid.Gvk
	place             int
	kind, kindAndName string
}

func rankOf(r *resource.Resource, place map[string]int) rank {
	or := func(s, empty string) string {
		if s == "" {
			return empty
		}
		return s
	}
	id := r.CurId()
	return rank{r, id.Gvk, place[id.Kind], or(id.Group, "~G") + "_" + or(id.Version, "~V") + "_" +
		or(id.Kind, "~K"),
		id.Gvk.String() + "|" + or(id.Namespace, "~X") + "|" + or(id.Name, "~N")}
}

func (a rank) compare(b rank) int {
	switch {
	case a.gvk.Equals(b.gvk):
		return strings.Compare(a.kindAndName, b.kindAndName)
	case a.place != b.place:
		return a.place - b.place
	case a.gvk.Kind == types.NamespaceKind && b.gvk.Kind == types.NamespaceKind &&
		(a.gvk.Group == "" || b.gvk.Group == ""):
		return strings.Compare(b.kind, a.kind)
	}
	return strings.Compare(a.kind, b.kind)
}
