package check

import (
	"k8s.io/apimachinery/pkg/labels"

	"slipway/internal/object"
)

// kindOf is a group and a kind.
type kindOf struct{ group, kind string }

// index finds objects of an environment without a search of all.
type index struct {
	kinds map[kindOf][]object.Object
	named map[kindOf]map[string][]object.Object
	// scalers are the autoscalers, scraping the monitors.
	scalers, scraping []object.Object
	// selecting are the objects that select pods, by their kind and the label that they demand.
	selecting map[kindOf]map[string][]selecting
}

// selecting is an object with its selector.
type selecting struct {
	object.Object
	at           int // its place among the objects
	requirements labels.Requirements
	// selectable is false for a selector that selects nothing.
	selectable bool
}

// selectorsOf are how objects select pods.
var selectorsOf = map[kindOf]func(object.Object) labels.Selector{
	{"", "Service"}:                        serviceSelectorOf,
	{"policy", "PodDisruptionBudget"}:      budgetSelectorOf,
	{"networking.k8s.io", "NetworkPolicy"}: policySelectorOf,
}

func newIndex(objects []object.Object) index {
	x := index{kinds: map[kindOf][]object.Object{}, named: map[kindOf]map[string][]object.Object{},
		selecting: map[kindOf]map[string][]selecting{}}
	for i, o := range objects {
		ref := o.Ref()
		k := kindOf{ref.Group, ref.Kind}
		x.kinds[k] = append(x.kinds[k], o)
		if x.named[k] == nil {
			x.named[k] = map[string][]object.Object{}
		}
		x.named[k][ref.Name] = append(x.named[k][ref.Name], o)
		if selector, ok := selectorsOf[k]; ok {
			requirements, selectable := selector(o).Requirements()
			if x.selecting[k] == nil {
				x.selecting[k] = map[string][]selecting{}
			}
			label := demanded(requirements)
			x.selecting[k][label] = append(x.selecting[k][label], selecting{o, i, requirements, selectable})
		}
		if ref.Kind == "HorizontalPodAutoscaler" || ref.Kind == "ScaledObject" && ref.Group == "keda.sh" {
			x.scalers = append(x.scalers, o)
		}
		if _, ok := monitors[ref.Group+"/"+ref.Kind]; ok {
			x.scraping = append(x.scraping, o)
		}
	}
	return x
}
