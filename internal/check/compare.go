package check

import (
	"slices"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/project"
)

// compare sets the local environment, or the first of a lower class where there is none, beside each that
// is deployed to production: what was tried out beside what is about to ship.
func (r *run) compare() {
	named := func(c project.Class) int {
		return slices.IndexFunc(r.envs, func(e environment) bool {
			return e.Class == c && slices.ContainsFunc(r.Project.Environments, func(p project.Environment) bool {
				return p.Name == e.Name
			})
		})
	}
	from := named(project.Local)
	if from < 0 {
		from = named(project.Staging)
	}
	if from < 0 {
		return
	}
	for _, e := range r.envs {
		if e.Class != project.Production || slices.ContainsFunc(r.Project.Others, func(p project.Environment) bool {
			return p.Name == e.Name
		}) {
			continue
		}
		r.report.Crossings = append(r.report.Crossings, contract.Compare(contract.Input{
			A: side(r.envs[from]), B: side(e), Exceptions: r.Project.Exceptions, Today: r.Now.Format(time.DateOnly),
		}))
	}
}

func side(e environment) contract.Side {
	return contract.Side{Name: e.Name, Environment: e.Environment, Set: e.set}
}
