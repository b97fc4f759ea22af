package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/promote"
)

func newApproveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "approve ENV", Short: "Approve what waits to be promoted to an environment", Args: a.envArgs(0),
		Long: `Approves the images that the environment of ENV's gates runs now, where "approvals" in slipway.yaml
asks for people. They must be healthy; they need not have been so for long enough yet. The approval is kept
beside the releases of ENV, under the name by which its API server knows you, and holds for these digests
alone. It does not count for a promotion that you make yourself.`,
		Example: "  slipway approve prod --reason 'tested with the new tariff'",
	}
	reason := cmd.Flags().String("reason", "", "why, for all to see")
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
