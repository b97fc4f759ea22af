package deploy

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/git"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/words"
)

// Summary describes a proposal: its versions, commits, and what to know before consenting.
type Summary struct {
	// From and To are versions: "sha-3f9c2e1", "release 4", "nothing".
	From string `json:"from"`
	To   string `json:"to"`
	// Brings are the commits that the environment gets, Takes those that it loses, newest first. Both are empty
	// when Git does not know the commits (another repository, a shallow clone).
	Brings []git.Commit `json:"brings,omitempty"`
	Takes  []git.Commit `json:"takes,omitempty"`
	// Risks are what the deploy may do to users and data although it succeeds.
	Risks []plan.Risk `json:"risks,omitempty"`
	// Remarks are sentences about the plan.
	Remarks []string `json:"remarks,omitempty"`
}

// Report is a plan as programs read it.
type Report struct {
	plan.Plan
	Check Review      `json:"check"`
	Risks []plan.Risk `json:"risks,omitempty"`
	// Unsettled says what is not healthy in the release that runs, although it was.
	Unsettled string `json:"unsettled,omitempty"`
	// Keepers are other tools that deploy the objects.
	Keepers []Keeper `json:"keepers,omitempty"`
}

// ReportOf is a proposal as programs read it.
func ReportOf(p Proposal, s Summary) Report {
	return Report{
		Plan: p.Plan, Check: p.Prepared.Review, Risks: s.Risks, Unsettled: p.Unsettled, Keepers: p.Keepers,
	}
}

// ReportOfRefusal is the report of a plan that check refuses: it has no changes.
func ReportOfRefusal(t Target, r Review) Report {
	empty := plan.Plan{Environment: t.Environment.Name, Commit: t.Source.Commit, Changes: []plan.Change{}}
	return Report{Plan: empty, Check: r}
}

// Summarize reads the commits from the repository of the source.
func Summarize(ctx context.Context, t Target, p Proposal) Summary {
	s := Summary{Remarks: remarks(t, p), Risks: risks(ctx, t, p)}
	s.From, s.To = versions(p)
	from, to := p.Latest.Commit, p.Prepared.Commit
	if from == "" || to == "" || from == to {
		return s
	}
	repository, err := t.history(ctx)
	if err != nil {
		return s
	}
	// An error means that Git does not know one of the commits.
	s.Brings, _ = repository.Log(ctx, from, to)
	s.Takes, _ = repository.Log(ctx, to, from)
	return s
}

// risks asks the cluster for the quotas. Where it does not tell them the plan is made without.
func risks(ctx context.Context, t Target, p Proposal) []plan.Risk {
	if p.Plan.Empty() {
		return nil
	}
	quotas, _, err := cluster.Quotas(ctx, t.Cluster)
	if err != nil {
		t.warn(Rendering, nil, "quotas were not compared: %v", err)
	}
	classes, err := cluster.Classes(ctx, t.Cluster)
	if err != nil {
		t.warn(Rendering, nil, "the sizes of volumes were not compared: %v", err)
	}
	return plan.Risks(p.Plan, p.Observed, quotas, classes)
}

func versions(p Proposal) (from, to string) {
	const nothing = "nothing"
	from, to = cmp.Or(p.Latest.Tag, nothing), cmp.Or(p.Prepared.Tag, "the working tree")
	if p.Latest.Revision > 0 && p.Latest.Status != release.Deleted {
		from = cmp.Or(p.Latest.Tag, fmt.Sprintf("release %d", p.Latest.Revision))
	}
	if p.Prepared.Delete {
		to = nothing
	}
	if p.Prepared.RollbackOf > 0 {
		to += fmt.Sprintf(" (release %d)", p.Prepared.RollbackOf)
	}
	return from, to
}

// overrideLines say that Git does not state the images of the plan, or no longer those that run.
func overrideLines(p Proposal) []string {
	switch was, is := p.Latest.Override, p.Prepared.Override; {
	case is != nil && p.Prepared.RollbackOf == 0:
		return []string{"Git states another image: an agent leaves the environment until a commit states this one"}
	case was != nil && is == nil && p.Prepared.RollbackOf == 0 && !p.Prepared.Delete:
		return []string{p.Latest.OverrideText() + "; this deploy ends that"}
	}
	return nil
}

func remarks(t Target, p Proposal) []string {
	lines := append(checkRemarks(t, p.Prepared), p.Prepared.Direction.remarks()...)
	lines = append(lines, moveLines(t, p)...)
	for _, b := range p.Prepared.Crossed {
		lines = append(lines, "goes back past a barrier, as requested: "+b)
	}
	lines = append(lines, keeperRemarks(p)...)
	lines = append(lines, analysisLines(p)...)
	lines = append(lines, p.Pauses.Lines(time.Now())...)
	lines = append(lines, overrideLines(p)...)
	for _, ref := range p.Prepared.Left {
		lines = append(lines, fmt.Sprintf("%s was added since the release, and stays: --prune %s/%s deletes it",
			ref, ref.Kind, ref.Name))
	}
	for _, seen := range p.Observed {
		if len(seen.Injected) > 0 {
			lines = append(lines, fmt.Sprintf("%s: caBundle stays as %s has set it", seen.Ref,
				strings.Join(seen.Injected, ", ")))
		}
	}
	for _, pin := range p.Prepared.Images {
		if pin.Digest == "" {
			lines = append(lines, fmt.Sprintf("image %s is not in the registry yet: deploy builds it",
				pin.Reference()))
		}
	}
	forward := p.Prepared.RollbackOf == 0 && !p.Prepared.Delete
	switch {
	case p.Done() && p.Unsettled != "":
		lines = append(lines, "nothing to change; a deploy watches, and fails unless all objects are healthy: "+
			p.Unsettled)
	case p.Done():
		lines = append(lines, "nothing to change")
	case p.Plan.Count(plan.Blocked) > 0:
		return append(lines, "changes marked ! cannot be applied: a deploy would apply nothing")
	case p.Plan.Empty():
		lines = append(lines, "nothing to change; a deploy watches until all objects are healthy, and records it")
	case !p.Plan.Complete:
		lines = append(lines, "some objects cannot be verified with the API server before their kind or "+
			"namespace exists")
	}
	if t.Environment.Class != project.Local && p.Latest.Revision > 0 && forward && !p.Plan.Empty() {
		lines = append(lines, "a release that does not become healthy is rolled back to the last healthy one")
	}
	isUncommitted := p.Prepared.Dirty && p.Prepared.Override == nil && p.Prepared.RollbackOf == 0
	if t.Environment.Class == project.Production && isUncommitted {
		lines = append(lines, "the working tree has uncommitted changes: production needs a commit")
	}
	return lines
}

// checkRemarks are the remarks about what check found.
func checkRemarks(t Target, p Prepared) []string {
	var lines []string
	r, name := p.Review, t.Environment.Name
	for _, a := range r.Allowed {
		for _, f := range a.Findings {
			lines = append(lines, fmt.Sprintf("allowed for this run: %s: %s; reason: %s", a.Rule, f, a.Reason))
		}
	}
	for _, id := range r.Unused {
		lines = append(lines, fmt.Sprintf("--allow %s has no effect: no error of this rule blocks %s", id, name))
	}
	for i, f := range r.Found {
		if i == maxFound {
			lines = append(lines, fmt.Sprintf("check finds %s more", words.Count(len(r.Found)-i, "error")))
			break
		}
		line := fmt.Sprintf("check finds an error: %s: %s", f.Rule, sentence(f))
		if p.RollbackOf > 0 {
			line += fmt.Sprintf("; a rollback to release %d is not refused", p.RollbackOf)
		}
		lines = append(lines, line)
	}
	if line := r.Rest(); line != "" && p.RollbackOf == 0 && t.Environment.Class != project.Local {
		lines = append(lines, fmt.Sprintf("check: %s; run `slipway check %s` to read them", line, name))
	}
	return lines
}

// maxFound is how many errors of check a plan names that do not block it.
const maxFound = 5
