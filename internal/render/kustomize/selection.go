package kustomize

import (
	"slices"

	"sigs.k8s.io/kustomize/api/resource"

	"slipway/internal/object"
)

// Selection is what one entry of a kustomization was applied to.
type Selection struct {
	// At is the entry's file and line, or the field's where the whole field is one entry.
	At object.Origin
	// Objects are the places of the resources that the entry made, or could change. An entry that no Selection
	// is about may have changed any.
	Objects []object.Origin
}

// mark notes that the current step selects resources.
func (m *resources) mark(list ...*resource.Resource) {
	for _, r := range list {
		m.marked = append(m.marked, m.origins[r])
	}
}

// selection ends a step: it returns what the step has selected.
func (m *resources) selection(at entry) Selection {
	s := Selection{At: at.at, Objects: slices.Clip(m.marked)}
	m.marked = nil
	return s
}

// markAll makes a change that selects all resources.
func markAll(run change) change {
	return func(m *resources) error {
		m.mark(m.list...)
		return run(m)
	}
}
