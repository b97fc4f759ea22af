package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/internal/release"
)

func newHistoryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "history ENV", Short: "List an environment's releases, newest first", Args: cobra.ExactArgs(1),
	}
	out := outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runHistory(c.Context(), a, args[0], *out)
	}
	return cmd
}

func runHistory(ctx context.Context, a *app, name string, out format) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	history, err := t.Records().History(ctx)
	if err != nil {
		return err
	}
	if len(history) == 0 {
		return fmt.Errorf("history of %s: %w", name, release.ErrNone)
	}
	if out == asJSON {
		for _, rel := range history {
			if err := a.json(rel); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RELEASE\tSTATUS\tTAG\tCOMMIT\tAGE\tBY\t")
	for _, rel := range history {
		note := ""
		if rel.RollbackOf > 0 {
			note = fmt.Sprintf("rollback to release %d", rel.RollbackOf)
		} else if rel.Failure != "" {
			note = firstLine(rel.Failure)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", rel.Revision, rel.Status, dash(rel.Tag), short(rel.Commit), age(rel.Started), rel.Who, note)
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
