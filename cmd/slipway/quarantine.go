package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
)

func newQuarantineCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", Short: "List quarantined releases, or lift a quarantine",
		Long: `When a release fails, an agent quarantines its objects, and the images that were new in it
if they ran. Until a person lifts the quarantine, neither the agent nor "slipway deploy" deploys these
objects or images, from any commit, and "slipway promote" does not write these images.`,
	}
	list := &cobra.Command{
		Use: "list ENV", Short: "List the quarantined releases of an environment", Args: a.envArgs(0),
	}
	out := a.outputFlag(list, asText, asJSON)
	list.RunE = func(c *cobra.Command, args []string) error {
		return runQuarantineList(c.Context(), a, args[0], *out)
	}
	lift := &cobra.Command{
		Use: "lift ENV RELEASE", Short: "Allow a quarantined release to be deployed again", Args: a.envArgs(1),
		Example: "  slipway quarantine lift prod 12 --reason 'the database was down, not the release'",
	}
	reason := lift.Flags().String("reason", "", "reason, kept with the release (required)")
	lift.RunE = func(c *cobra.Command, args []string) error {
		if len(args) < 2 || strings.TrimSpace(*reason) == "" {
			return &usageError{errors.New("quarantine lift needs ENV, RELEASE and --reason TEXT")}
		}
		revision, err := strconv.Atoi(args[1])
		if err != nil {
			return &usageError{fmt.Errorf("RELEASE is the number of a release, not %q", args[1])}
		}
		t, err := a.target(c.Context(), args[0])
		if err != nil {
			return err
		}
		rel, err := t.Records().Lift(c.Context(), revision, ci.Actor(os.Getenv), *reason)
		if err == nil {
			fmt.Fprintf(a.stdout, "%s  release %d is no longer in quarantine\n", args[0], rel.Revision)
		}
		return err
	}
	cmd.AddCommand(list, lift)
	return cmd
}

func runQuarantineList(ctx context.Context, a *app, name string, out format) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	held, err := t.Records().Quarantines(ctx)
	if err != nil {
		return err
	}
	if out == asJSON {
		return a.json(held)
	}
	if len(held) == 0 {
		fmt.Fprintf(a.stdout, "%s  nothing is in quarantine\n", name)
	}
	for _, r := range held {
		fmt.Fprintf(a.stdout, "release %d  %s  since %s: %s\n", r.Revision, short(r.Commit),
			r.Quarantine.Since.Format("2006-01-02 15:04"), clean(oneLine(r.Quarantine.Reason)))
		for _, pin := range r.HeldImages() {
			fmt.Fprintf(a.stdout, "  image %s\n", clean(pin.Reference()))
		}
		if l := r.Quarantine.Lifted; l != nil {
			fmt.Fprintf(a.stdout, "  lifted by %s: %s\n", clean(l.Who), clean(l.Reason))
		}
	}
	return nil
}
