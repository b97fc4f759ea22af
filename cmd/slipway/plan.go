package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/deploy"
)

// errHasChanges is the answer of plan --exit-code.
var errHasChanges = errors.New("the plan has changes")

func newPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan ENV", Short: "Show what a deploy would change", Args: a.envArgs(0),
		Long: `Renders the environment, resolves its images in the registry, and asks the API server what applying
each object would change (a server-side dry run). It writes nothing: an image that is not in the registry
yet is planned by its tag. Secret values are never shown. Where the server would refuse an object, the
exit code is that of deploy.`,
	}
	var o planOptions
	o.out = outputFlag(cmd, asText, asJSON, asMarkdown)
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 3 when the plan has changes")
	forceFlag(cmd, &o.force)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runPlan(c.Context(), a, args[0], o)
	}
	return cmd
}

type planOptions struct {
	out             *format
	exitCode, force bool
}

func runPlan(ctx context.Context, a *app, name string, o planOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	proposal, err := deploy.Propose(ctx, t, deploy.ProposeOptions{Force: o.force})
	if err != nil {
		return err
	}
	page := pageOf(ctx, t, proposal)
	switch *o.out {
	case asJSON:
		err = a.json(proposal.Plan)
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
	if err == nil && o.exitCode && !proposal.Plan.Empty() {
		return errHasChanges
	}
	return err
}
