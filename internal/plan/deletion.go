package plan

import (
	"fmt"
	"slices"

	"slipway/internal/object"
)

// Deletions come last, in the reverse order of kinds, unless kapp's rules of the objects say otherwise.

// deleteFirst deletes first what a rule wants gone before something else is applied.
func (p *Plan) deleteFirst(in Input, observed sightings) {
	for i := range p.Changes {
		old := &p.Changes[i]
		if old.Action != Delete || old.First {
			continue
		}
		schedule, _ := observed.of(old.Ref).Live.Schedule() // a rule that is misread has never been deployed
		for _, c := range p.Changes {
			if c.Action != Create && c.Action != Update && c.Action != Replace {
				continue
			}
			next, _ := in.Desired.Get(c.Ref)
			wanted, _ := next.Schedule()
			if waits(wanted.Deletions, schedule.Groups, false) || precedes(schedule.Deletions, wanted.Groups) {
				old.First = true
				old.Reason += fmt.Sprintf("; deleted first, as kapp's rules for %s require", c.Ref)
				break
			}
		}
	}
}

// waits says that a rule wants its object, or its deletion, after the deletion of one of the groups.
func waits(rules []object.ChangeRule, groups []string, deletes bool) bool {
	return slices.ContainsFunc(rules, func(r object.ChangeRule) bool {
		return r.Deletes == deletes && r.Deleted && !r.Before && slices.Contains(groups, r.Group)
	})
}

// precedes says that a rule wants the deletion of its object before one of the groups is applied.
func precedes(rules []object.ChangeRule, groups []string) bool {
	return slices.ContainsFunc(rules, func(r object.ChangeRule) bool {
		return r.Deletes && !r.Deleted && r.Before && slices.Contains(groups, r.Group)
	})
}

// deletionLevels returns in which turn each object is deleted, from 0, where rules order the deletions among
// themselves, and the number of turns. Objects that wait for each other are blocked.
func (p *Plan) deletionLevels(observed sightings) (map[object.Ref]int, int) {
	schedules := map[object.Ref]object.Schedule{}
	for _, c := range p.Changes {
		if c.Action == Delete && !c.First {
			schedules[c.Ref], _ = observed.of(c.Ref).Live.Schedule()
		}
	}
	later := graph{} // deleted after
	for ref, s := range schedules {
		for _, r := range s.Deletions {
			for other, o := range schedules {
				switch {
				case !r.Deletes || !r.Deleted || other == ref || !slices.Contains(o.Groups, r.Group):
				case r.Before:
					later.add(ref, other)
				default:
					later.add(other, ref)
				}
			}
		}
	}
	depth, most := map[object.Ref]int{}, 0
	for i, c := range p.Changes {
		if _, ok := schedules[c.Ref]; !ok {
			continue
		}
		n, err := later.longest(c.Ref, depth, nil)
		if err != nil {
			p.Changes[i].Action, p.Changes[i].Reason, p.Complete = Blocked, err.Error(), false
			continue
		}
		most = max(most, n)
	}
	levels := map[object.Ref]int{}
	for ref := range schedules {
		levels[ref] = most - depth[ref]
		if !later.has(ref) {
			levels[ref] = 0 // nothing is said about it
		}
	}
	return levels, most + 1
}

// has says that an object comes before or after another one.
func (g graph) has(ref object.Ref) bool {
	for before, list := range g {
		if before == ref && len(list) > 0 || slices.Contains(list, ref) {
			return true
		}
	}
	return false
}
