package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/object"
)

// runsOf returns the runs of a hook; none for a hook that is left out.
func (o Order) runsOf(ref object.Ref) (runs []run, isHook bool) {
	if runs, isHook = o.runs[ref]; isHook {
		return runs, true
	}
	_, isHook = o.left[ref]
	return nil, isHook
}

// errNotOurs says that a hook would replace an object of somebody else.
var errNotOurs = errors.New("it exists, and no release of this environment created it")

// decideHook returns a change for each run of a hook, or one that leaves it out.
func decideHook(o Observed, in Input, runs []run) []Change {
	if len(runs) == 0 {
		return []Change{{Ref: o.Ref, Action: Skip, Reason: in.Order.left[o.Ref]}}
	}
	if o.Err == nil && o.Live.Body != nil && o.Ref.RunsOnce() && !slices.Contains(in.Owned, o.Ref) {
		o.Err = errNotOurs
	}
	var changes []Change
	for _, r := range runs {
		c := Change{Ref: o.Ref, Action: Run, Stage: r.stage, Reason: r.reason, step: stageOf(o.Ref)}
		if o.Err != nil {
			c.Action, c.Reason = Blocked, refusal(o)
		}
		changes = append(changes, c)
	}
	return changes
}

// addHooks adds the hooks. They belong to a deploy that changes something, and do not run when there is
// nothing to deploy.
func (p *Plan) addHooks(hooks []Change, in Input) {
	idle := p.Empty() && p.Digest == p.Base && !in.Unfinished
	for _, c := range hooks {
		switch {
		case c.Action == Run && idle:
			if slices.ContainsFunc(p.Changes, func(o Change) bool { return o.Ref == c.Ref }) {
				continue
			}
			c = Change{Ref: c.Ref, Action: Skip, Reason: c.Reason + ": nothing else changes"}
		case c.Action == Blocked:
			p.Complete = false
		}
		p.Changes = append(p.Changes, c)
	}
}

// number gives each change its stage.
func (p *Plan) number(o Order, observed sightings) {
	stages := o.stages
	if len(stages) == 0 {
		stages = []Stage{{Name: "deploy"}, {Name: pruneStage}}
	}
	prune := slices.IndexFunc(stages, func(s Stage) bool { return s.Name == pruneStage })
	levels, turns := p.deletionLevels(observed)
	stages = splitPrune(stages, prune, turns)
	for i := range p.Changes {
		c := &p.Changes[i]
		switch {
		case c.Action == Run || c.Action == Blocked && c.Stage > 0:
			if c.Stage > prune {
				c.Stage += turns - 1
			}
		case c.Action == Skip:
			c.Stage = len(stages)
		case c.step >= deletion(Rest):
			c.Stage = prune + levels[c.Ref]
		default:
			c.Stage = o.of[c.Ref]
		}
	}
	stages = p.insertWay(stages)
	p.renumber(stages)
}

// splitPrune makes as many stages of the one that prunes as there are turns.
func splitPrune(stages []Stage, at, turns int) []Stage {
	if turns == 1 {
		return stages
	}
	var parts []Stage
	for i := range turns {
		parts = append(parts, Stage{Name: fmt.Sprintf("%s, part %d of %d", pruneStage, i+1, turns)})
	}
	return slices.Concat(stages[:at], parts, stages[at+1:])
}

// insertWay puts what is deleted first into a stage before the first objects.
func (p *Plan) insertWay(stages []Stage) []Stage {
	if !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.First }) {
		return stages
	}
	at := slices.IndexFunc(stages, func(s Stage) bool { return s.Event == "" })
	for i := range p.Changes {
		switch c := &p.Changes[i]; {
		case c.First:
			c.Stage = at
		case c.Stage >= at:
			c.Stage++
		}
	}
	return slices.Insert(slices.Clone(stages), at, Stage{Name: "make way"})
}

// renumber sorts the changes, and numbers the stages that have any from 1.
func (p *Plan) renumber(stages []Stage) {
	slices.SortFunc(p.Changes, inOrder)
	p.Stages = []Stage{}
	last := -1
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Action == Skip {
			c.Stage = 0
			continue
		}
		if c.Stage != last {
			last = c.Stage
			p.Stages = append(p.Stages, stages[c.Stage])
		}
		c.Stage = len(p.Stages)
	}
}

// In returns the changes of a stage, whose number counts from 1. They must not be changed: thousands of them
// are not held twice where they follow each other.
func (p Plan) In(stage int) []Change {
	isIn := func(c Change) bool { return c.Stage == stage }
	first, end := slices.IndexFunc(p.Changes, isIn), len(p.Changes)
	if first < 0 {
		return nil
	}
	for end > first && !isIn(p.Changes[end-1]) {
		end--
	}
	between := p.Changes[first:end:end]
	if !slices.ContainsFunc(between, func(c Change) bool { return !isIn(c) }) {
		return between
	}
	var changes []Change
	for _, c := range p.Changes {
		if c.Stage == stage {
			changes = append(changes, c)
		}
	}
	return changes
}

// IsStaged says that a plan has an order that people need to see: another than first all objects, and then
// what is deleted.
func (p Plan) IsStaged() bool {
	parts := 0
	for _, s := range p.Stages {
		if s.Event != "" {
			return true
		}
		if s.Name != pruneStage {
			parts++
		}
		if strings.HasPrefix(s.Name, pruneStage+", ") {
			return true
		}
	}
	return parts > 1
}

// IsRunning says that a live Job or Pod has not ended.
func IsRunning(live object.Object) bool {
	if live.Body == nil || isDeleting(live) {
		return false
	}
	if phase := live.At("status", "phase"); live.Ref().Kind == "Pod" {
		return phase != "Succeeded" && phase != "Failed"
	}
	status := live.Health().Status
	return status != object.Current && status != object.Failed
}

// IsSameRun says that applying the desired Job or Pod would leave the live one as it is.
func IsSameRun(o Observed) bool {
	return o.Live.Body != nil && !o.Fixed && o.Unverified == "" && len(differences(o.Live, o.Merged, false)) == 0
}
