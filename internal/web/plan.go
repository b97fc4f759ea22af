package web

import (
	"net/http"

	"slipway/internal/deploy"
	"slipway/internal/plan"
)

// planPage is what a deploy would change.
type planPage struct {
	place
	Fault   *fault
	Review  *deploy.Review // where it is why there is no plan
	Summary deploy.Summary
	deploy.Proposal
	Stages []planStage
	Same   int // objects that stay as they are
	More   int // changes that are not shown
}

type planStage struct {
	Name    string
	Changes []plan.Change
}

func (s *Site) servePlan(w http.ResponseWriter, r *http.Request) {
	t, err := s.target(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := planPage{place: placeOf(t)}
	proposal, err := deploy.Propose(r.Context(), t, deploy.ProposeOptions{})
	if err != nil {
		page.Fault = s.fault(err)
	} else {
		page.fill(proposal)
		page.Summary = deploy.Summarize(r.Context(), t, proposal)
		if err := proposal.Blocked(); err != nil {
			page.Fault = s.fault(err)
		}
	}
	s.show(w, r, http.StatusOK, "plan", viewOf(t.Source, t.Environment.Name, "plan", page))
}

// fill puts the changes of a proposal into their stages.
func (p *planPage) fill(proposal deploy.Proposal) {
	p.Proposal = proposal
	number := func(i int) string {
		if i > 0 && proposal.Plan.IsStaged() {
			return proposal.Plan.Stages[i-1].Name
		}
		return ""
	}
	shown := 0
	for i := range len(proposal.Plan.Stages) + 1 {
		stage := (i + 1) % (len(proposal.Plan.Stages) + 1) // what belongs to no stage comes last
		part := planStage{Name: number(stage)}
		for _, c := range proposal.Plan.In(stage) {
			switch {
			case c.Action == plan.Keep && c.Reason == "" && len(c.Lost) == 0:
				p.Same++
			case shown == maxChanges:
				p.More++
			default:
				part.Changes = append(part.Changes, c)
				shown++
			}
		}
		if len(part.Changes) > 0 {
			p.Stages = append(p.Stages, part)
		}
	}
}
