package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/deploy"
)

// errHasChanges is the answer of plan --exit-code.
var errHasChanges = errors.New("the plan has changes")

func newPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan ENV", Short: "Show what a deploy would change", Args: a.envArgs(0),
		Long: `Renders the environment, resolves its images in the registry, and asks the API server what
applying each object would change (a server-side dry run). It writes nothing. If the registry does not
have an image yet, the plan shows its tag. Secret values are never shown. If the API server would reject
an object, or slipway check finds an error in an environment of class production, plan exits with the
same code as deploy.

-o FILE saves the plan. deploy --plan FILE then makes exactly these changes, or none. The file contains
no Secret values.`,
		Example: "  slipway plan prod\n  slipway plan prod -o prod.plan && slipway deploy prod --plan prod.plan",
	}
	var o planOptions
	o.out = a.outputOrFileFlag(cmd, &o.file, asText, asJSON, asMarkdown)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 3 if the plan has changes")
	permitFlags(cmd, &o.permits)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runPlan(c.Context(), a, args[0], o)
	}
	return cmd
}

type planOptions struct {
	out      *format
	file     string
	exitCode bool
	permits  deploy.Permits
}

func runPlan(ctx context.Context, a *app, name string, o planOptions) error {
	a.planFile = o.file
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	if err := checkAllow(o.permits.Allow); err != nil {
		return err
	}
	proposal, err := deploy.Propose(ctx, t, deploy.ProposeOptions{Permits: o.permits})
	if err != nil {
		return errors.Join(err, showRefusal(a.cli, err, *o.out, func(r deploy.Review) any {
			return deploy.ReportOfRefusal(t, r)
		}))
	}
	page := pageOf(ctx, t, proposal)
	switch *o.out {
	case asJSON:
		err = a.json(deploy.ReportOf(proposal, page.Summary))
	case asMarkdown:
		_, err = fmt.Fprint(a.stdout, planMarkdown(page))
	default:
		end := a.ci.Fold("plan of " + name)
		printPlan(a.stdout, page)
		end()
	}
	a.tell(func() (string, ci.Values) {
		markdown := planMarkdown(page)
		return markdown, planValues(proposal.Plan, markdown)
	})
	if err == nil {
		err = proposal.Blocked()
	}
	if err == nil && o.file != "" {
		err = savePlan(o.file, t, proposal, o.permits)
	}
	if err == nil && o.exitCode && !proposal.Plan.Empty() {
		return errHasChanges
	}
	return err
}

// savePlan writes a plan to be carried out by deploy --plan.
func savePlan(file string, t deploy.Target, p deploy.Proposal, o deploy.Permits) error {
	text, err := deploy.Save(t, p, o)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	return err
}
