package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
)

// Operation is what a deploy does to an environment. It decides which hooks run.
type Operation string

// The operations, as Helm names them.
const (
	Install   Operation = "install"
	Upgrade   Operation = "upgrade"
	GoBack    Operation = "rollback"
	Uninstall Operation = "delete"
	// Revert takes back what others changed, and runs no hooks.
	Revert Operation = "revert"
)

// events are the events before and after an operation.
var events = map[Operation][2]object.Event{
	Install: {object.PreInstall, object.PostInstall}, Upgrade: {object.PreUpgrade, object.PostUpgrade},
	GoBack: {object.PreRollback, object.PostRollback}, Uninstall: {object.PreDelete, object.PostDelete},
}

// Stage is a part of a deploy: the next one begins when its Jobs have completed and its objects are healthy.
type Stage struct {
	// Name is what people read: "pre-upgrade hooks", "wave 2", "prune".
	Name string `json:"name"`
	// Event is the moment at which the hooks of the stage run; empty for a stage without hooks.
	Event object.Event `json:"event,omitempty"`
}

// Order says in which stages the objects of a set are applied. The zero value applies all in one.
type Order struct {
	stages []Stage
	of     map[object.Ref]int    // of objects that are no hooks
	runs   map[object.Ref][]run  // of hooks
	left   map[object.Ref]string // hooks that do not run, and why
}

// run is one run of a hook.
type run struct {
	stage  int
	reason string
}

// CycleError says that objects wait for each other.
type CycleError struct{ Refs []object.Ref }

func (e *CycleError) Error() string {
	names := make([]string, len(e.Refs))
	for i, r := range e.Refs {
		names[i] = r.String()
	}
	return "objects wait for each other: " + strings.Join(names, " → ")
}

// part is one object of a set with its schedule.
type part struct {
	object.Object
	ref object.Ref
	object.Schedule
}

// Arrange decides the order in which an operation applies a set, whose objects have their namespaces. It
// fails with an *object.ScheduleError or a *CycleError for an order that cannot be honoured.
func Arrange(set object.Set, op Operation) (Order, error) {
	o := Order{
		of: map[object.Ref]int{}, runs: map[object.Ref][]run{}, left: map[object.Ref]string{},
	}
	var parts, hooks []part
	for _, obj := range set.Objects() {
		s, err := obj.Schedule()
		if err != nil {
			return o, err
		}
		p := part{obj, obj.Ref(), s}
		if s.Hook != nil && !slices.Contains(s.Hook.Events, object.Sync) {
			hooks = append(hooks, p)
		} else {
			parts = append(parts, p)
		}
	}
	if op == Uninstall {
		parts = nil
	}
	o.add(hooks, events[op][0], "%s hooks")
	if err := checkDependencies(set, parts); err != nil {
		return o, err
	}
	if err := o.addParts(set, parts); err != nil {
		return o, err
	}
	if op == Uninstall {
		o.stages = append(o.stages, Stage{Name: pruneStage})
	}
	o.add(hooks, events[op][1], "%s hooks")
	if op != Uninstall {
		o.stages = append(o.stages, Stage{Name: pruneStage})
		o.add(hooks, object.OnFailure, "%s hooks, only if the deploy fails")
	}
	for _, p := range hooks {
		if len(o.runs[p.ref]) == 0 {
			o.left[p.ref] = leftOut(p.Hook, op)
		}
	}
	return o, nil
}

const pruneStage = "prune"

// leftOut says why a hook does not run in an operation.
func leftOut(h *object.Hook, op Operation) string {
	switch {
	case slices.Contains(h.Events, object.Never):
		return "hook " + h.Name
	case slices.Contains(h.Events, object.Test):
		return "hook " + h.Name + ": a deploy runs no tests"
	}
	return fmt.Sprintf("hook %s: this is %s", h.Name, map[Operation]string{
		Install: "an install", Upgrade: "an upgrade", GoBack: "a rollback", Uninstall: "a deletion",
		Revert: "no new release",
	}[op])
}

// add appends the stages of the hooks of an event: by weight and, for Helm's, one Job or Pod in each.
func (o *Order) add(hooks []part, event object.Event, name string) {
	var due []part
	for _, p := range hooks {
		if slices.Contains(p.Hook.Events, event) {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.Hook.Weight, b.Hook.Weight), cmp.Compare(rankOf(a.ref), rankOf(b.ref)),
			a.ref.Compare(b.ref))
	})
	for i, p := range due {
		if i == 0 || due[i-1].Hook.Weight != p.Hook.Weight || due[i-1].Hook.Serial && due[i-1].ref.RunsOnce() {
			o.stages = append(o.stages, Stage{Name: fmt.Sprintf(name, event), Event: event})
		}
		o.runs[p.ref] = append(o.runs[p.ref], run{len(o.stages) - 1, reasonOf(p.Hook)})
	}
}

// reasonOf describes a hook: "hook PreSync, weight 5, deleted when it succeeds".
func reasonOf(h *object.Hook) string {
	text := "hook " + h.Name
	if h.Weight != 0 {
		text += fmt.Sprintf(", weight %d", h.Weight)
	}
	switch {
	case h.AfterSuccess && h.AfterFailure:
		text += ", deleted afterwards"
	case h.AfterSuccess:
		text += ", deleted when it succeeds"
	case h.AfterFailure:
		text += ", deleted when it fails"
	}
	return text
}

// addParts appends the stages of objects that are no hooks, and of those that run among them.
func (o *Order) addParts(set object.Set, parts []part) error {
	waves := map[int][]part{}
	var last []part // webhooks of the set
	for _, p := range parts {
		if !p.isOrdered() && servedBy(p.Object, set) {
			last = append(last, p)
			continue
		}
		waves[p.Wave] = append(waves[p.Wave], p)
	}
	numbers := sortedKeys(waves)
	for _, wave := range numbers {
		levels, err := arrangeWave(set, waves[wave])
		if err != nil {
			return err
		}
		name := "deploy"
		if len(numbers) > 1 {
			name = fmt.Sprintf("wave %d", wave)
		}
		for i, level := range levels {
			stage := Stage{Name: name}
			if len(levels) > 1 {
				stage.Name += fmt.Sprintf(", part %d of %d", i+1, len(levels))
			}
			o.place(stage, level)
		}
	}
	if len(last) > 0 {
		o.place(Stage{Name: "webhooks"}, last)
	}
	return nil
}

func sortedKeys(waves map[int][]part) []int {
	var keys []int
	for k := range waves {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (o *Order) place(stage Stage, parts []part) {
	o.stages = append(o.stages, stage)
	for _, p := range parts {
		if p.Hook != nil {
			o.runs[p.ref] = append(o.runs[p.ref], run{len(o.stages) - 1, reasonOf(p.Hook)})
			continue
		}
		o.of[p.ref] = len(o.stages) - 1
	}
}

// isOrdered says that annotations of the object place it.
func (p part) isOrdered() bool { return p.Explicit || len(p.After)+len(p.Groups)+len(p.Rules) > 0 }

// checkDependencies fails for a dependency that is not in the set, or that comes later.
func checkDependencies(set object.Set, parts []part) error {
	waves := map[object.Ref]int{}
	for _, p := range parts {
		waves[p.ref] = p.Wave
	}
	for _, p := range parts {
		for _, ref := range p.After {
			wave, applied := waves[ref]
			obj, known := set.Get(ref)
			reason := ""
			switch {
			case !known:
				reason = fmt.Sprintf("names %s, which is not in the set", ref)
			case applied && wave > p.Wave:
				reason = fmt.Sprintf("names %s of wave %d, and the object itself is of wave %d", ref, wave, p.Wave)
			case !applied && !runsBefore(obj):
				reason = fmt.Sprintf("names %s, a hook that does not run before", ref)
			}
			if reason != "" {
				text, _ := p.Annotations()["config.kubernetes.io/depends-on"].(string)
				return &object.ScheduleError{Object: p.ref, Origin: p.Origin,
					Annotation: "config.kubernetes.io/depends-on", Value: text, Reason: reason}
			}
		}
	}
	return nil
}

// runsBefore says that a hook runs before the other objects, in one operation at least.
func runsBefore(o object.Object) bool {
	s, err := o.Schedule()
	return err == nil && s.Hook != nil && slices.ContainsFunc(s.Hook.Events, func(e object.Event) bool {
		return slices.Contains([]object.Event{object.PreInstall, object.PreUpgrade, object.PreRollback}, e)
	})
}
