package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/deploy"
	"slipway/internal/project"
)

// check returns the findings of the present state of a source, in all its environments.
func (s *Site) check(ctx context.Context, src project.Source) answer[finding.Outcome] {
	key := time.Now().Format(time.DateOnly) // by which exceptions expire
	for _, env := range src.Project.Environments {
		state := src.Commit + " " + src.Tag
		if t, err := s.options.Connect(src, env); err == nil { // to an environment at a commit of its own
			state = t.Source.Commit + " " + t.Source.Tag
		}
		key += " " + state
	}
	if src.Tag == "" { // outside Git nothing says whether the files are the same
		key = time.Now().Truncate(10 * time.Second).String()
	}
	return s.findings.ask(ctx, question[finding.Outcome]{
		name: src.Project.Name, key: key, patience: shortPatience,
		find: func(ctx context.Context) (finding.Outcome, error) { return s.options.Findings(ctx, src) },
	})
}

// outcomeIn is what concerns an environment.
func outcomeIn(all finding.Outcome, environment string) (o finding.Outcome) {
	isIn := func(names []string) bool { return len(names) == 0 || slices.Contains(names, environment) }
	for _, f := range all.Findings {
		if isIn(f.Environments) {
			o.Findings = append(o.Findings, f)
		}
	}
	for _, u := range all.Unchecked {
		if isIn(u.Environments) {
			u.Environments = nil
			o.Unchecked = append(o.Unchecked, u)
		}
	}
	o.Unchecked = finding.Summarize(o.Unchecked, true)
	return o
}

// checkPage lists what check finds in an environment, by tier.
type checkPage struct {
	place
	Running  bool
	Dirty    bool // the source has changes that are not committed
	Fault    *fault
	Tiers    []findingTier
	Findings pager
	// Unchecked is what was not checked, and why.
	Unchecked []finding.Unchecked
}

type findingTier struct {
	Tier     finding.Tier
	Findings []finding.Finding
}

func (s *Site) serveCheck(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	if s.options.Findings == nil {
		return errNoPage
	}
	src, err := s.source(r.Context(), t.Source.Project.Name)
	if err != nil {
		return err
	}
	page := checkPage{place: placeOf(t), Dirty: t.Source.Dirty}
	switch found := s.check(r.Context(), src); {
	case !found.Known():
		page.Running = true
	case found.Err != nil:
		page.Fault = s.fault(found.Err)
	default:
		outcome := outcomeIn(found.Value, t.Environment.Name)
		all := outcome.Findings
		page.Unchecked = outcome.Unchecked[:min(len(outcome.Unchecked), maxDrift)]
		slices.SortStableFunc(all, func(a, b finding.Finding) int {
			return slices.Index(finding.Tiers, a.Tier) - slices.Index(finding.Tiers, b.Tier)
		})
		page.Findings = pageOf(r, len(all))
		for _, f := range all[page.Findings.From:page.Findings.To] {
			if n := len(page.Tiers); n == 0 || page.Tiers[n-1].Tier != f.Tier {
				page.Tiers = append(page.Tiers, findingTier{Tier: f.Tier})
			}
			last := &page.Tiers[len(page.Tiers)-1]
			last.Findings = append(last.Findings, f)
		}
	}
	s.show(w, r, http.StatusOK, "check", viewOf(t.Source, t.Environment.Name, "check", page))
	return nil
}
