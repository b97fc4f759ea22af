package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/plan"
)

// planMarks are the signs of a plan's actions.
var planMarks = map[plan.Action]string{plan.Create: "+", plan.Update: "~", plan.Delete: "-",
	plan.Replace: "±", plan.Run: "»", plan.Blocked: "!"}

// planPage is a plan with what people read beside it.
type planPage struct {
	title string // "myapp → prod"
	deploy.Proposal
	deploy.Summary
}

func pageOf(ctx context.Context, t deploy.Target, p deploy.Proposal) planPage {
	return planPage{t.Source.Project.Name + " → " + t.Environment.Name, p, deploy.Summarize(ctx, t, p)}
}

// printPlan writes a plan for a person.
func printPlan(w io.Writer, p planPage) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s   %s → %s\n", s.bold(p.title), p.From, p.To)
	for _, line := range append(currentRelease(p.Proposal), commitLines(p.Summary)...) {
		fmt.Fprintln(w, s.dim("  "+line))
	}
	for i, stage := range p.Plan.Stages {
		if p.Plan.IsStaged() {
			fmt.Fprintf(w, "stage %d: %s\n", i+1, stage.Name)
		}
		printChanges(w, p.Plan.In(i+1))
	}
	printChanges(w, p.Plan.In(0))
	for _, r := range p.Risks {
		fmt.Fprintln(w, s.yellow(fmt.Sprintf("risk: %s: %s %s", r.Kind, r.Ref, r.Text)))
	}
	for _, line := range p.Remarks {
		fmt.Fprintln(w, line)
	}
}

func printChanges(w io.Writer, changes []plan.Change) {
	s, same := styleOf(w), 0
	for _, c := range changes {
		switch {
		case c.Action == plan.Skip:
			fmt.Fprintln(w, s.dim(fmt.Sprintf("  · %s   left out: %s", c.Ref, c.Reason)))
		case c.Action != plan.Keep:
			printChange(w, c)
		case c.Reason != "":
			fmt.Fprintln(w, s.dim(fmt.Sprintf("  = %s   kept: %s", c.Ref, c.Reason)))
		default:
			same++
		}
		printLost(w, c)
	}
	if same > 0 {
		fmt.Fprintln(w, s.dim(fmt.Sprintf("  = %d unchanged", same)))
	}
}

// printLost warns about the fields that the server does not take as the source has them.
func printLost(w io.Writer, c plan.Change) {
	for _, f := range c.Lost {
		fmt.Fprintf(w, "  warning: %s: %s\n", c.Ref, brief(plan.LostText(f, c.Mutators, c.Unlisted)))
	}
}

func printChange(w io.Writer, c plan.Change) {
	s, mark := styleOf(w), planMarks[c.Action]
	line := s.mark(mark, fmt.Sprintf("  %s %s", mark, c.Ref))
	if c.Reason != "" {
		line += "   " + brief(oneLine(strings.TrimPrefix(c.Reason, c.Ref.String()+": ")))
	}
	fmt.Fprintln(w, line)
	for _, f := range c.Fields {
		before, textual := f.Before.(string)
		after, alike := f.After.(string)
		if textual && alike && strings.Contains(before+after, "\n") {
			fmt.Fprintf(w, "      %s\n", f.Path)
			for _, l := range lineDiff(before, after) {
				fmt.Fprintln(w, "        "+s.mark(l[:1], l))
			}
			continue
		}
		from, to := values(fieldValue(f.Path, f.Before, ""), fieldValue(f.Path, f.After, ""))
		fmt.Fprintf(w, "      %s   %s %s %s\n", f.Path, from, s.dim("→"), to)
	}
}

// currentRelease prints the release that runs, and who deployed it.
func currentRelease(p deploy.Proposal) []string {
	rel := p.Latest
	if rel.Revision == 0 {
		return nil
	}
	what := string(rel.Status)
	switch {
	case p.Found != nil:
		what = "recorded as healthy, but not healthy any more: " + p.Found.Message
	case p.Unsettled != "":
		what = "recorded as healthy, but currently " + p.Unsettled
	}
	if rel.RollbackOf > 0 {
		what += fmt.Sprintf(", a rollback to release %d", rel.RollbackOf)
	}
	return []string{fmt.Sprintf("now release %d: %s, %s ago by %s", rel.Revision, what, age(rel.Started),
		cmp.Or(rel.Who, "an unknown user"))}
}

// maxCommits is how many commits a plan names.
const maxCommits = 5

// commitLines print the commits that a plan brings, and those that it takes back.
func commitLines(sum deploy.Summary) []string {
	return append(logLines(sum.Brings, ""), logLines(sum.Takes, "without ")...)
}

func logLines(log []git.Commit, word string) []string {
	var lines []string
	for _, c := range log[:min(len(log), maxCommits)] {
		lines = append(lines, fmt.Sprintf("%s%s %s (%s, %s ago)", word, short(c.Hash), c.Subject,
			c.Author, age(c.Time)))
	}
	if n := len(log) - maxCommits; n > 0 {
		lines = append(lines, fmt.Sprintf("%sand %d more commits", word, n))
	}
	return lines
}
