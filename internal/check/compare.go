package check

import (
	"slices"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/project"
)

// compare compares the local environment, or the first of a lower class where there is none, with each that
// is deployed to production: what was tried out with what is about to ship.
func compare(s *subject) []contract.Result {
	deployed := func(e *environment, in []project.Environment) bool {
		return slices.ContainsFunc(in, func(p project.Environment) bool { return p.Name == e.Name })
	}
	first := func(c project.Class) int {
		return slices.IndexFunc(s.envs, func(e *environment) bool {
			return e.Class == c && deployed(e, s.Project.Environments)
		})
	}
	from := first(project.Local)
	if from < 0 {
		from = first(project.Staging)
	}
	if from < 0 {
		return nil
	}
	var all []contract.Result
	for _, e := range s.envs {
		if e.Class != project.Production || deployed(e, s.Project.Others) ||
			len(e.leftOut)+len(s.envs[from].leftOut) > 0 {
			continue
		}
		all = append(all, contract.Compare(contract.Input{
			A: side(s.envs[from]), B: side(e),
			Exceptions: s.Project.Exceptions, Today: s.Now.Format(time.DateOnly),
		}))
	}
	return all
}

func side(e *environment) contract.Side {
	return contract.Side{Name: e.Name, Environment: e.Environment, Set: e.Set}
}
