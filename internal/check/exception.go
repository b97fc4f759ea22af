package check

import (
	"fmt"
	"slices"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/object"
	"slipway/internal/project"
)

// UnknownRuleError refuses the name of a rule.
type UnknownRuleError struct{ ID, Suggestion string }

func (e *UnknownRuleError) Error() string { return fmt.Sprintf("unknown rule %q", e.ID) }

// FindRule returns the rule with an ID. It fails with an *UnknownRuleError.
func FindRule(rules []finding.Rule, id string) (finding.Rule, error) {
	var known []string
	for _, r := range rules {
		if r.ID == id {
			return r, nil
		}
		known = append(known, r.ID)
	}
	return finding.Rule{}, &UnknownRuleError{ID: id, Suggestion: project.Suggest(id, known)}
}

// checkExceptions refuses exceptions for unknown rules, which would never match.
func checkExceptions(p project.Project, rules *rule.Set) error {
	var known []string
	for _, r := range rules.Rules() {
		known = append(known, r.ID)
	}
	for _, e := range p.Exceptions {
		if e.Rule == "" || slices.Contains(known, e.Rule) {
			continue
		}
		hint := ""
		if s := project.Suggest(e.Rule, known); s != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", s)
		}
		return &project.FileError{File: p.File, Line: e.Line, Err: fmt.Errorf("exception for unknown rule %q%s",
			e.Rule, hint)}
	}
	return nil
}

// accept leaves out what exceptions are made for, counts it, and reports exceptions that expired or match
// nothing.
func accept(all []finding.Finding, s *subject, l *locator) (left []finding.Finding, accepted int) {
	today := s.Now.Format(time.DateOnly)
	for _, e := range s.Project.Exceptions {
		if e.Rule == "" { // it is compare's
			continue
		}
		at := finding.Place{File: s.Project.File, Line: e.Line}
		if e.Until != "" && e.Until < today {
			f := contract.ExceptionExpired.In(at,
				"the exception from %s expired on %s: its findings are reported again (%s)",
				e.Rule, e.Until, e.Reason)
			f.Fix = "Fix the findings and remove the exception, or set a later `until:`."
			all = append(all, f)
			continue
		}
		var n int
		all, n = leaveOut(all, e, l)
		accepted += n
		if n == 0 && !s.partial && isChecked(e, s) {
			f := contract.ExceptionUnused.In(at, "the exception from %s matches no finding", e.Rule)
			f.Fix = "Remove it, or correct its object, field or environments."
			all = append(all, f)
		}
	}
	return all, accepted
}

// isChecked reports whether all environments of an exception were checked: only then is it certain that it
// matches nothing.
func isChecked(e project.Exception, s *subject) bool {
	names := e.Environments
	if len(names) == 0 {
		for _, env := range s.Project.Environments {
			names = append(names, env.Name)
		}
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(s.envs, func(env *environment) bool {
			return env.Name == name && len(env.leftOut) == 0
		})
	})
}

// leaveOut removes what an exception accepts, and counts the findings that it touched.
func leaveOut(all []finding.Finding, e project.Exception, l *locator) (left []finding.Finding, accepted int) {
	for _, f := range all {
		if f.Rule != e.Rule || !object.IsWithin(f.Field, e.Field) {
			left = append(left, f)
			continue
		}
		before := f.Environments
		f.Environments = nil
		for _, name := range before {
			if len(e.Environments) > 0 && !slices.Contains(e.Environments, name) || !isFor(e, f, name, l) {
				f.Environments = append(f.Environments, name)
			}
		}
		matches := len(f.Environments) < len(before)
		if len(before) == 0 {
			matches = len(e.Environments) == 0 && isFor(e, f, "", l)
		}
		if matches {
			accepted++
		}
		if !matches || len(f.Environments) > 0 {
			left = append(left, f)
		}
	}
	return left, accepted
}

// isFor reports whether an exception names the finding's object, as rendered or as its file calls it.
func isFor(e project.Exception, f finding.Finding, env string, l *locator) bool {
	if e.Object == "" {
		return true
	}
	if f.Object == nil {
		return false
	}
	for _, name := range []string{f.Object.Name, l.written(env, *f.Object)} {
		if object.Fits(e.Object, *f.Object, name) {
			return true
		}
	}
	return false
}
