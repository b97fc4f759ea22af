package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/promote"
)

func newApproveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "approve ENV", Short: "Approve a promotion to an environment", Args: a.envArgs(0),
		Long: `Approves the images that are waiting for promotion to ENV: those that run now in the
environment that the "gates" of ENV promote from. slipway.yaml asks for approvals with "approvals". The
images must be healthy now, even if not yet for as long as the gates require. The approval is stored
with the releases of ENV, under your user name at its API server, and is valid only for these digests.
It does not count for a promotion that you make yourself.`,
		Example: "  slipway approve prod --reason 'tested with the new tariff'",
	}
	reason := cmd.Flags().String("reason", "", "reason, shown with the approval")
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		t, err := a.target(c.Context(), args[0])
		if err != nil {
			return err
		}
		given, proof, err := promote.Approve(c.Context(), t, a.connectOptions(), *reason)
		if err != nil {
			return err
		}
		if *out == asJSON {
			return a.json(given)
		}
		for _, pin := range proof.Images {
			fmt.Fprintf(a.stdout, "%s  approved by %s: %s\n", t.Environment.Name, clean(given.Who),
				clean(pin.Reference()))
		}
		return nil
	}
	return cmd
}
