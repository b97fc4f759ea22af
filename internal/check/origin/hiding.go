package origin

import (
	"context"
	"slices"
	"strings"
)

// search looks for what hides overrides.
type search struct {
	experiment
	base    baseline
	effects []Effect
	reaches map[int]reach // by rank
}

func (s *search) reach(o Override) reach {
	r, ok := s.reaches[o.rank]
	if !ok {
		r = reachOf(s.experiment, o, s.base.parts)
		s.reaches[o.rank] = r
	}
	return r
}

// suspectsOf returns what may hide an override. Those of its kind come first, the strongest of them before
// the others: patches can hide anything, and there may be many.
func (s *search) suspectsOf(o Override) []Override {
	reached := s.reach(o).places
	var list []Override
	for _, sameKind := range []bool{true, false} {
		for _, e := range slices.Backward(s.effects) {
			if e.rank == o.rank || strings.EqualFold(e.Kind, o.Kind) != sameKind || !canHide(e.Override, o) {
				continue
			}
			// Only an override of the same objects hides one that matches objects.
			if len(reached) == 0 || s.reach(e.Override).places.overlaps(reached) {
				list = append(list, e.Override)
			}
		}
	}
	return list
}

// findHiding finds the override without which another would do something; nil: there is none. It is false
// where the budget ends first.
func (s *search) findHiding(ctx context.Context, o Override, m *mutation) (by *Override, looked bool) {
	suspects, reached := s.suspectsOf(o), s.reach(o).places
	if len(reached) == 0 {
		return findAmong(ctx, s.experiment, m, suspects)
	}
	x := s.experiment
	if len(suspects) > 1 && 2*len(reached) < x.result.Set.Len() {
		x = narrowed(ctx, x, reached)
	}
	for i := range suspects {
		if by, looked = findAmong(ctx, x, m, suspects[i:i+1]); by != nil || !looked {
			return by, looked
		}
	}
	if len(suspects) > 1 && !s.budget.isSpent(ctx) && doesSomething(ctx, x, m, suspects) {
		return &suspects[0], true // several hide it, each by itself
	}
	return nil, true
}

// findAmong finds what hides an override that matches nothing. The suspects are left out together, and in
// halves only where the override does something without all of them.
func findAmong(
	ctx context.Context, x experiment, m *mutation, suspects []Override,
) (by *Override, looked bool) {
	switch {
	case len(suspects) == 0:
		return nil, true
	case x.budget.isSpent(ctx):
		return nil, false
	}
	n := len(suspects) / 2
	switch without, err := renderWith(ctx, x, x.whole(), suspects); {
	case err == nil && !differs(ctx, x, m, baseline{suspects, without}):
		return nil, true
	case err == nil && n == 0:
		return &suspects[0], true
	case n == 0:
		return nil, true // the environment needs it
	}
	if by, looked = findAmong(ctx, x, m, suspects[:n]); by != nil || !looked {
		return by, looked
	}
	return findAmong(ctx, x, m, suspects[n:])
}

// differs reports whether what a mutation says is in a render, or breaks it.
func differs(ctx context.Context, x experiment, m *mutation, base baseline) bool {
	mutated, err := renderWith(ctx, x, base, nil, m)
	return err != nil || len(differences(base.parts, mutated)) > 0
}

// doesSomething reports whether a mutation has an effect without all suspects.
func doesSomething(ctx context.Context, x experiment, m *mutation, suspects []Override) bool {
	without, err := renderWith(ctx, x, x.whole(), suspects)
	return err == nil && differs(ctx, x, m, baseline{suspects, without})
}
