package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
)

// errHasChanges is the answer of plan --exit-code.
var errHasChanges = errors.New("the plan has changes")

func newPlanCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan ENV", Short: "Show what a deploy would change, and change nothing", Args: a.envArgs(0),
		Long: `Renders the environment, looks its images up in the registry, and asks the API server what applying
each object would change (a server-side dry run). Nothing is written: an image that is not in the
registry yet is planned by its tag. Secret values are never shown. Where the server would refuse an
object, the exit code is the one that deploy would have.`,
	}
	var o planOptions
	o.out = outputFlag(cmd, asText, asJSON)
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
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: a.imageOptions(t)})
	if err != nil {
		return err
	}
	proposal, err := deploy.Plan(ctx, t, prepared, deploy.PlanOptions{Force: o.force})
	if err != nil {
		return err
	}
	if *o.out == asJSON {
		err = a.json(proposal.Plan)
	} else {
		a.printPlan(ctx, t, proposal)
	}
	if err == nil {
		err = proposal.Blocked()
	}
	if err == nil && o.exitCode && !proposal.Plan.Empty() {
		return errHasChanges
	}
	return err
}
