package web

import (
	"cmp"
	"slices"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/rollout"
)

// row is one object of an environment.
type row struct {
	rollout.Standing
	Origin  object.Origin
	Drifted int // fields, or 1 for a deleted object
	// Group is the name of the workload that it belongs to: "Deployment web".
	Group string
	// Logs: it runs pods.
	Logs bool
}

// State is a word for the style of a row.
func (r row) State() string {
	switch r.Health.Status {
	case object.Current:
		return "good"
	case object.InProgress, object.Terminating:
		return "busy"
	case "":
		return "unknown"
	}
	return "bad"
}

// Says is the sentence about its health, where there is more to say than that it exists.
func (r row) Says() string {
	if r.Health.Status == object.Current && !r.Blocking {
		return ""
	}
	return r.Health.Message
}

// weight orders rows: problems first.
func (r row) weight() int {
	w := slices.Index([]string{"bad", "busy", "unknown", "good"}, r.State()) * 2
	if r.Drifted > 0 {
		w--
	}
	return w
}

// rowsOf lists the objects of a release, those with problems and their workloads first.
func rowsOf(set object.Set, states []rollout.Standing, d deploy.Drift) []row {
	health := make(map[object.Ref]rollout.Standing, len(states))
	for _, s := range states {
		health[s.Ref] = s
	}
	drifted := map[object.Ref]int{}
	for _, o := range d.Changed {
		drifted[o.Ref] = max(1, len(o.Fields))
	}
	groups := groupsOf(set)
	rows, best := make([]row, 0, set.Len()), map[string]int{}
	for _, o := range set.Objects() {
		ref := o.Ref()
		r := row{Standing: health[ref], Origin: o.Origin, Drifted: drifted[ref], Group: groups[ref]}
		r.Ref, r.Live = ref, object.Object{}
		_, _, r.Logs = o.PodSpec()
		if w, ok := best[r.Group]; !ok || r.weight() < w {
			best[r.Group] = r.weight()
		}
		rows = append(rows, r)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(best[a.Group]-best[b.Group], cmp.Compare(orderOf(a.Group), orderOf(b.Group)),
			strings.Compare(a.Group, b.Group), leads(b)-leads(a), a.weight()-b.weight(), a.Ref.Compare(b.Ref))
	})
	return rows
}

// The groups of objects that belong to no workload, and to several.
const (
	sharedGroup = "several workloads"
	otherGroup  = "other objects"
)

func orderOf(group string) int {
	return slices.Index([]string{sharedGroup, otherGroup}, group)
}

// leads says that a row is the workload of its group.
func leads(r row) int {
	if r.Logs {
		return 1
	}
	return 0
}

// groupsOf names the workload that each object of a set belongs to: by what its pods need, by the selectors
// of Services and budgets, and by the targets of autoscalers and routes.
func groupsOf(set object.Set) map[object.Ref]string {
	users := map[object.Ref][]string{}
	use := func(ref object.Ref, group string) {
		if !slices.Contains(users[ref], group) {
			users[ref] = append(users[ref], group)
		}
	}
	var rest []object.Object
	pods := map[string][]object.Object{} // the workloads, by namespace
	for _, o := range set.Objects() {
		spec, _, runs := o.PodSpec()
		if !runs {
			rest = append(rest, o)
			continue
		}
		ref := o.Ref()
		use(ref, nameOf(ref))
		pods[ref.Namespace] = append(pods[ref.Namespace], o)
		for _, need := range object.PodNeeds(spec, ref.Namespace) {
			use(need, nameOf(ref))
		}
	}
	for _, o := range rest {
		for _, w := range pods[o.Ref().Namespace] {
			if selects(o, w) {
				use(o.Ref(), nameOf(w.Ref()))
			}
		}
	}
	for _, o := range rest { // routes lead to Services, whose workloads are known now
		for _, service := range backends(o) {
			for _, group := range users[service] {
				use(o.Ref(), group)
			}
		}
	}
	groups := make(map[object.Ref]string, set.Len())
	for _, ref := range set.Refs() {
		switch names := users[ref]; len(names) {
		case 0:
			groups[ref] = otherGroup
		case 1:
			groups[ref] = names[0]
		default:
			groups[ref] = sharedGroup
		}
	}
	return groups
}

func nameOf(ref object.Ref) string { return ref.Kind + " " + ref.Name }

// selects says that an object selects the pods of a workload, or names it.
func selects(o, workload object.Object) bool {
	if target := object.Mapping(o.At("spec", "scaleTargetRef")); target != nil {
		return target["kind"] == workload.Ref().Kind && target["name"] == workload.Ref().Name
	}
	selector := object.Mapping(o.At("spec", "selector"))
	if o.Ref().Kind != "Service" {
		selector = object.Mapping(selector["matchLabels"])
	}
	metadata, _, _ := workload.PodMetadata()
	labels := object.Mapping(metadata["labels"])
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// backends are the Services that an Ingress leads to.
func backends(o object.Object) []object.Ref {
	if o.Ref().Kind != "Ingress" {
		return nil
	}
	var refs []object.Ref
	add := func(backend any) {
		name, _ := object.Mapping(object.Mapping(backend)["service"])["name"].(string)
		refs = append(refs, object.Ref{Kind: "Service", Namespace: o.Ref().Namespace, Name: name})
	}
	add(o.At("spec", "defaultBackend"))
	for _, rule := range object.Mappings(o.At("spec", "rules")) {
		for _, path := range object.Mappings(object.Mapping(rule["http"])["paths"]) {
			add(path["backend"])
		}
	}
	return refs
}
