package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
)

func newDeleteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete ENV", Short: "Delete the objects of an environment", Args: a.envArgs(0),
		Long: `Deletes the objects that the releases of this environment recorded, and nothing else. It
keeps Namespaces, CustomResourceDefinitions, PersistentVolumes and PersistentVolumeClaims, unless
--prune names them. The history of releases stays in the namespace.`,
	}
	o := actFlags(a, cmd)
	pruneFlag(cmd, &o.permits)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runDelete(c.Context(), a, args[0], o)
	}
	return cmd
}

func runDelete(ctx context.Context, a *app, name string, o *actOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	t.Notify = listen(a.cli, o)
	proposal, err := deploy.ProposeDelete(ctx, t, o.permits.Prune)
	if err != nil {
		return err
	}
	return carryOut(ctx, a.cli, t, proposal, o)
}
