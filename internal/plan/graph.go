package plan

import (
	"slices"

	"slipway/internal/object"
)

// graph has for each object those that come after it.
type graph map[object.Ref][]object.Ref

func (g graph) add(before, after object.Ref) {
	if !slices.Contains(g[before], after) {
		g[before] = append(g[before], after)
	}
}

// arrangeWave splits the objects of one wave into levels: each begins when the one before is healthy. An
// object that others wait for comes as late as they allow, and one that nothing is said about comes last, so
// that no level waits for an object that needs a later one. What pods need before they start comes first.
func arrangeWave(set object.Set, parts []part) ([][]part, error) {
	after := dependencies(parts)
	behind := graph{} // with a predecessor
	for before, list := range after {
		for _, ref := range list {
			behind.add(ref, before)
		}
	}
	addOperators(after, behind, set, parts)
	if len(after) == 0 {
		return [][]part{parts}, nil
	}
	depth, most := map[object.Ref]int{}, 0
	for _, p := range parts {
		n, err := after.longest(p.ref, depth, nil)
		if err != nil {
			return nil, err
		}
		most = max(most, n)
	}
	levels := make([][]part, most+1)
	for _, p := range parts {
		level := most - depth[p.ref]
		if len(behind[p.ref]) == 0 && comesFirst(p.ref) {
			level = 0
		}
		levels[level] = append(levels[level], p)
	}
	return slices.DeleteFunc(levels, func(l []part) bool { return len(l) == 0 }), nil
}

// comesFirst says that pods need objects of this kind before they start.
func comesFirst(ref object.Ref) bool {
	return stageOf(ref) < Workloads || ref.Kind == "Service" && ref.Group == ""
}

// longest returns the length of the longest way that starts at an object. It fails with a *CycleError.
func (g graph) longest(from object.Ref, known map[object.Ref]int, way []object.Ref) (int, error) {
	if n, ok := known[from]; ok {
		return n, nil
	}
	if i := slices.Index(way, from); i >= 0 {
		return 0, &CycleError{Refs: append(slices.Clone(way[i:]), from)}
	}
	most := 0
	for _, next := range g[from] {
		n, err := g.longest(next, known, append(way, from))
		if err != nil {
			return 0, err
		}
		most = max(most, n+1)
	}
	known[from] = most
	return most, nil
}

// dependencies returns the order that the annotations of cli-utils and kapp ask for.
func dependencies(parts []part) graph {
	g := graph{}
	groups := map[string][]object.Ref{}
	here := map[object.Ref]bool{}
	for _, p := range parts {
		here[p.ref] = true
		for _, name := range p.Groups {
			groups[name] = append(groups[name], p.ref)
		}
	}
	for _, p := range parts {
		for _, ref := range p.After {
			if here[ref] {
				g.add(ref, p.ref)
			}
		}
		for _, rule := range p.Rules {
			for _, ref := range groups[rule.Group] {
				switch {
				case ref == p.ref:
				case rule.Before:
					g.add(p.ref, ref)
				default:
					g.add(ref, p.ref)
				}
			}
		}
	}
	return g
}
