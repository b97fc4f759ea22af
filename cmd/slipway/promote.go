package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/git"
	"slipway/internal/promote"
)

func newPromoteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "promote ENV", Short: "Write which images an environment runs into its files, and commit that",
		Args: a.envArgs(0),
		Long: `Finds this commit's images in the registry, or with --from what another environment states, and writes
tag and digest into the environment's own kustomization or values file: only these values change, byte
for byte. Rendering proves that exactly the places that name the image are different then, and no other
environment; what cannot be decided is refused, and nothing is written. Nothing is built, and no cluster
is changed: whoever keeps the environment deploys the commit.

With --commit the files are committed, and nothing else that has changed; with --push the commit goes
on top of the upstream branch, never by force, and again when others were faster.`,
	}
	var o promote.Options
	out := outputFlag(cmd, asText, asJSON)
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "",
		"what this environment states, or runs in its last healthy release, instead of this commit's images")
	f.BoolVar(&o.Commit, "commit", false, "commit the edited files")
	f.BoolVar(&o.Push, "push", false, "commit, and push to the branch's upstream")
	f.BoolVar(&o.Older, "older", false, "also where a later commit is stated")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runPromote(c.Context(), a, args[0], o, *out)
	}
	return cmd
}

func runPromote(ctx context.Context, a *app, name string, o promote.Options, out format) error {
	t, err := a.buildTarget(ctx, name)
	if err != nil {
		return err
	}
	o.Connect = a.connectOptions()
	result, err := promote.Run(ctx, t, o)
	if err != nil {
		return err
	}
	return a.printPromotion(result, out)
}

// printPromotion prints each edit, and where it was committed and pushed.
func (a *app) printPromotion(r promote.Result, out format) error {
	a.notes(r.Notes)
	a.tell(func() (string, ci.Values) {
		values := imageValues(r.Images)
		values["commit"] = r.Commit
		return imagesMarkdown("slipway promote "+r.Environment, r.After), values
	})
	switch {
	case out == asJSON:
		return a.json(r)
	case len(r.Changes) == 0:
		fmt.Fprintln(a.stdout, r.Environment, " nothing to change")
		return nil
	}
	for _, c := range r.Changes {
		printEdit(a.stdout, c.Text, c.Edit)
	}
	switch {
	case r.Upstream != "":
		fmt.Fprintf(a.stdout, "%s  pushed to %s: %s\n", r.Environment, r.Upstream, git.Short(r.Commit))
	case r.Commit != "":
		fmt.Fprintf(a.stdout, "%s  committed %s\n", r.Environment, git.Short(r.Commit))
	}
	return nil
}
