package check

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/project"
)

// exceptionsKnown refuses exceptions for rules that are not there: they would never be used, and nobody
// would see that what they are written for is not left out.
func (r *run) exceptionsKnown() error {
	for _, e := range r.Project.Exceptions {
		if _, ok := r.rules[e.Rule]; ok || e.Rule == "" {
			continue
		}
		hint := ""
		if s := project.Suggest(e.Rule, slices.Sorted(maps.Keys(r.rules))); s != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", s)
		}
		return &project.FileError{File: r.Project.File, Line: e.Line,
			Err: fmt.Errorf("the exception is for rule %q, which is not there%s", e.Rule, hint)}
	}
	return nil
}

// accept leaves out what exceptions are made for, and finds the exceptions that are of no use.
func (r *run) accept() {
	today := r.Now.Format(time.DateOnly)
	for _, e := range r.Project.Exceptions {
		if e.Rule == "" { // it is compare's
			continue
		}
		at := finding.Place{File: r.Project.File, Line: e.Line}
		if e.Until != "" && e.Until < today {
			f := contract.ExceptionExpired.In(at, "the exception from %s held until %s: %s", e.Rule, e.Until, e.Reason)
			f.Fix = "mend what it was written for and delete it, or give it a later day"
			r.find(f)
			continue
		}
		if used := r.leaveOut(e); !used && r.complete(e) {
			f := contract.ExceptionUnused.In(at, "the exception from %s matches no finding", e.Rule)
			f.Fix = "delete it, or correct its object, field or environments"
			r.find(f)
		}
	}
}

// complete says whether all environments of an exception were looked at: only then is it certain that
// nothing matches.
func (r *run) complete(e project.Exception) bool {
	names := e.Environments
	if len(names) == 0 {
		for _, env := range r.Project.Environments {
			names = append(names, env.Name)
		}
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.Contains(r.report.Environments, name)
	})
}

func (r *run) leaveOut(e project.Exception) (used bool) {
	var left []finding.Finding
	for _, f := range r.report.Findings {
		if f.Rule != e.Rule || !covers(e.Field, f.Field) {
			left = append(left, f)
			continue
		}
		all := f.Environments
		f.Environments = nil
		for _, name := range all {
			if len(e.Environments) > 0 && !slices.Contains(e.Environments, name) || !r.objectFits(e, f, name) {
				f.Environments = append(f.Environments, name)
			}
		}
		accepted := len(f.Environments) < len(all)
		if len(all) == 0 {
			accepted = len(e.Environments) == 0 && r.objectFits(e, f, "")
		}
		if accepted {
			used = true
			r.report.Accepted++
		}
		if !accepted || len(f.Environments) > 0 {
			left = append(left, f)
		}
	}
	r.report.Findings = left
	return used
}

func (r *run) objectFits(e project.Exception, f finding.Finding, env string) bool {
	if e.Object == "" {
		return true
	}
	if f.Object == nil {
		return false
	}
	for _, name := range []string{f.Object.Name, r.locator.written(env, *f.Object)} {
		if ok, _ := path.Match(e.Object, f.Object.Kind+"/"+name); ok {
			return true
		}
	}
	return false
}

// covers says whether a field is another one, or lies below it.
func covers(above, field string) bool {
	rest, ok := strings.CutPrefix(field, above)
	return above == "" || ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
