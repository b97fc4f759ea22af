package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
)

func newRollbackCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rollback ENV [REVISION]", Short: "Deploy an earlier release again", Args: a.envArgs(1),
		Long: `Deploys the objects of an earlier release from its record; it needs neither Git nor the
manifests. Without REVISION, it takes the last healthy release before the newest one, or after a
rollback, the one before the restored release. A rollback is planned, watched and recorded as a release
of its own.

Two kinds of releases are barriers: those with an object that has the annotation "slipway.dev/barrier:
REASON", such as a migration Job, and those that deleted a CustomResourceDefinition. rollback does not
cross a barrier without --cross-barrier. An automatic rollback never does.`,
	}
	o := actFlags(a, cmd)
	forceFlag(cmd, &o.permits)
	cmd.Flags().BoolVar(&o.cross, "cross-barrier", false,
		"roll back past a release that is a barrier; the new release records it")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		revision, err := revisionArg(args)
		if err != nil {
			return err
		}
		return runRollback(c.Context(), a, args[0], revision, o)
	}
	return cmd
}

// revisionArg reads the REVISION of ENV [REVISION]; 0 when there is none.
func revisionArg(args []string) (int, error) {
	if len(args) < 2 {
		return 0, nil
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 {
		return 0, &usageError{fmt.Errorf("invalid revision %q: want a number from `slipway history %s`",
			args[1], args[0])}
	}
	return n, nil
}

func runRollback(ctx context.Context, a *app, name string, revision int, o *actOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	t.Notify = listen(a.cli, o)
	proposal, err := deploy.ProposeRollback(ctx, t, deploy.RollbackOptions{
		Revision: revision, Force: o.permits.Force, CrossBarrier: o.cross,
	})
	if err != nil {
		return err
	}
	return carryOut(ctx, a.cli, t, proposal, o)
}
