package deploy

import (
	"fmt"
	"slices"

	"slipway/internal/object"
	"slipway/internal/plan"
)

// A deploy may delete a handful of objects, or less than a third of the environment. More is rarely meant.
const (
	handful    = 5
	maxDeleted = 30 // percent
)

// PruneManyError says that a deploy would delete a large part of the environment.
type PruneManyError struct {
	Environment  string
	Deleted, All int
}

func (e *PruneManyError) Error() string {
	return fmt.Sprintf("plan of %s deletes %d of %d objects", e.Environment, e.Deleted, e.All)
}

// NotPrunedError says that an object that was named to be deleted is not one that left the source.
type NotPrunedError struct{ Name string }

func (e *NotPrunedError) Error() string {
	return fmt.Sprintf("--prune %s: no such object has left the source", e.Name)
}

// limit fails with a *PruneManyError for a deploy of the source that deletes too much.
func (p Proposal) limit() error {
	deleted, all := p.Plan.Deletes()
	if p.Prepared.PruneMany || p.Prepared.Delete || p.Prepared.RollbackOf > 0 || deleted <= handful ||
		100*deleted <= maxDeleted*all {
		return nil
	}
	return &PruneManyError{Environment: p.Plan.Environment, Deleted: deleted, All: all}
}

// checkNamed fails for a name that matches nothing: it may be misspelled.
func checkNamed(p Prepared, made plan.Plan) error {
	for _, name := range p.Prune {
		found := false
		for _, c := range made.Changes {
			found = found || c.Action == plan.Delete && plan.IsNamed([]string{name}, c.Ref)
		}
		if !found {
			return &NotPrunedError{Name: name}
		}
	}
	return nil
}

// irreversible returns the changes among those applied that a rollback does not undo.
func irreversible(p plan.Plan, applied []object.Ref) []string {
	var lines []string
	for _, c := range p.Changes {
		if c.Irreversible != "" && slices.Contains(applied, c.Ref) {
			lines = append(lines, c.Ref.String()+": "+c.Irreversible)
		}
	}
	return lines
}
