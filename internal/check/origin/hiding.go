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
	suspects := s.suspectsOf(o)
	if len(s.reach(o).places) == 0 {
		return s.findAmong(ctx, m, suspects)
	}
	for i := range suspects {
		if by, looked = s.findAmong(ctx, m, suspects[i:i+1]); by != nil || !looked {
			return by, looked
		}
	}
	return nil, true
}

// findAmong finds what hides an override that matches nothing. The suspects are left out together, and in
// halves only where the override does something without all of them.
func (s *search) findAmong(
	ctx context.Context, m *mutation, suspects []Override,
) (by *Override, looked bool) {
	switch {
	case len(suspects) == 0:
		return nil, true
	case s.budget.isSpent(ctx):
		return nil, false
	}
	n := len(suspects) / 2
	without, err := renderWith(ctx, s.experiment, s.base, suspects)
	if err == nil {
		mutated, err := renderWith(ctx, s.experiment, baseline{suspects, without}, nil, m)
		if err == nil && len(differences(without, mutated)) == 0 {
			return nil, true
		}
		if n == 0 {
			return &suspects[0], true
		}
	}
	if n == 0 {
		return nil, true // the environment needs it
	}
	if by, looked = s.findAmong(ctx, m, suspects[:n]); by != nil || !looked {
		return by, looked
	}
	return s.findAmong(ctx, m, suspects[n:])
}
