package contract

import (
	"fmt"
	"slices"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
)

// The rules for exceptions, which check asks too.
const (
	ExceptionUnused  = rule.ID("exception-unused")
	ExceptionExpired = rule.ID("exception-expired")
)

// except marks the differences that the project has a reason for as accepted.
func (c *comparison) except() {
	for _, e := range c.Exceptions {
		if e.Rule != "" || !c.concerns(e) {
			continue
		}
		at := finding.Place{File: project.File, Line: e.Line}
		if e.Until != "" && c.Today > e.Until {
			c.result.Findings = append(c.result.Findings, ExceptionExpired.In(at,
				"the exception %s expired on %s: its differences are reported again",
				described(e), e.Until))
			continue
		}
		used := false
		for i, d := range c.result.Differences {
			if !c.excuses(e, d) {
				continue
			}
			used = true
			if d.Class != Expected {
				c.result.Differences[i].Class, c.result.Differences[i].Reason = Accepted, e.Reason
			}
		}
		if !used {
			c.result.Findings = append(c.result.Findings, ExceptionUnused.In(at,
				"the exception %s matches nothing between %s and %s", described(e), c.A.Name, c.B.Name))
		}
	}
}

func (c *comparison) concerns(e project.Exception) bool {
	return len(e.Environments) == 0 || slices.Contains(e.Environments, c.A.Environment.Name) ||
		slices.Contains(e.Environments, c.B.Environment.Name)
}

func (c *comparison) excuses(e project.Exception, d Difference) bool {
	if e.Field != "" {
		if _, ok := within(d.Field, e.Field); !ok {
			return false
		}
	}
	if e.Object == "" {
		return true
	}
	names := []object.Ref{d.Object}
	if d.Was != nil {
		names = append(names, *d.Was)
	}
	for _, r := range names[:len(names):len(names)] {
		for _, env := range []project.Environment{c.A.Environment, c.B.Environment} {
			r.Name = bare(object.Object{Body: map[string]any{"apiVersion": "v1", "kind": r.Kind,
				"metadata": map[string]any{"name": r.Name}}}, added(env))
			names = append(names, r)
		}
	}
	return slices.ContainsFunc(names, func(r object.Ref) bool { return object.Fits(e.Object, r, r.Name) })
}

func described(e project.Exception) string {
	switch {
	case e.Field == "":
		return "for " + e.Object
	case e.Object == "":
		return "for " + e.Field
	}
	return fmt.Sprintf("for %s %s", e.Object, e.Field)
}
