package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/plan"
	"slipway/internal/project"
)

// errHasChanges is the answer of plan --exit-code.
var errHasChanges = errors.New("the plan has changes")

func newPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan ENV", Short: "Show what a deploy would change, and change nothing", Args: cobra.ExactArgs(1),
		Long: `Renders the environment, looks its images up in the registry, and asks the API server what applying
each object would change (a server-side dry run). Nothing is written: an image that is not in the
registry yet is planned by its tag. Secret values are never shown.`,
	}
	out := outputFlag(cmd, asText, asJSON)
	exitCode := cmd.Flags().Bool("exit-code", false, "exit with 3 when the plan has changes")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runPlan(c.Context(), a, args[0], *out, *exitCode)
	}
	return cmd
}

func runPlan(ctx context.Context, a *app, name string, out format, exitCode bool) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: a.imageOptions(t)})
	if err != nil {
		return err
	}
	proposal, err := deploy.Plan(ctx, t, prepared, deploy.PlanOptions{})
	if err != nil {
		return err
	}
	if out == asJSON {
		err = a.json(proposal.Plan)
	} else {
		printPlan(a.stdout, t, proposal)
	}
	if err == nil && exitCode && !proposal.Plan.Empty() {
		return errHasChanges
	}
	return err
}

// planMarks are the signs of a plan's actions.
var planMarks = map[plan.Action]string{plan.Create: "+", plan.Update: "~", plan.Delete: "-", plan.Blocked: "!"}

// printPlan writes a plan for a person.
func printPlan(w io.Writer, t deploy.Target, p deploy.Proposal) {
	fmt.Fprintf(w, "%s → %s   %s\n", t.Source.Project.Name, t.Environment.Name, crossing(p))
	kept := 0
	for _, c := range p.Plan.Changes {
		if c.Action == plan.Keep {
			kept++
			if c.Reason != "" {
				fmt.Fprintf(w, "  = %s   kept: %s\n", c.Ref, c.Reason)
			}
			continue
		}
		reason := ""
		if c.Reason != "" {
			reason = "   " + strings.TrimPrefix(c.Reason, c.Ref.String()+": ")
		}
		fmt.Fprintf(w, "  %s %s%s\n", planMarks[c.Action], c.Ref, reason)
		for _, f := range c.Fields {
			fmt.Fprintf(w, "      %s   %s → %s\n", f.Path, value(f.Before), value(f.After))
		}
	}
	if kept > 0 {
		fmt.Fprintf(w, "  = %d unchanged\n", kept)
	}
	for _, pin := range p.Prepared.Images {
		if pin.Digest == "" {
			fmt.Fprintf(w, "image %s is in no registry yet: deploy builds it\n", pin.Reference())
		}
	}
	switch {
	case p.Plan.Empty() && p.Plan.Complete:
		fmt.Fprintln(w, "nothing to change")
	case p.Plan.Count(plan.Blocked) > 0:
		fmt.Fprintln(w, "what is marked ! cannot be applied, so nothing would be")
	case !p.Plan.Complete:
		fmt.Fprintln(w, "not every object could be verified with the API server before its kind or namespace is there")
	}
	if t.Environment.Class != project.Local && p.Latest.Revision > 0 && p.Plan.Count(plan.Blocked) == 0 && !p.Plan.Empty() && p.Prepared.RollbackOf == 0 && !p.Prepared.Delete {
		fmt.Fprintln(w, "if it does not become healthy, the last healthy release comes back")
	}
}

// crossing prints "sha-3f9c2e1 → sha-88a1b07".
func crossing(p deploy.Proposal) string {
	from, to := "nothing", p.Prepared.Tag
	if p.Latest.Revision > 0 {
		from = p.Latest.Tag
	}
	if p.Prepared.Delete {
		to = "nothing"
	}
	if p.Prepared.RollbackOf > 0 {
		to += fmt.Sprintf(" (release %d)", p.Prepared.RollbackOf)
	}
	return from + " → " + to
}

// value prints one side of a field: short, on one line, "∅" where there is nothing.
func value(v any) string {
	if v == nil {
		return "∅"
	}
	s := fmt.Sprint(v)
	if m, ok := v.(map[string]any); ok {
		s = fmt.Sprintf("{%d fields}", len(m))
	}
	if l, ok := v.([]any); ok {
		s = fmt.Sprintf("[%d items]", len(l))
	}
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	return s
}
