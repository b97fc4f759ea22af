package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/ci/pipeline"
	"slipway/internal/words"
)

func newCICommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ci github|gitlab", Short: "Write a CI workflow that checks, builds, plans and deploys this project",
		Long: `Writes .github/workflows/slipway.yml or .gitlab-ci.yml. The workflow checks pull requests
and comments a plan on each, except on those from forks. It builds a push to the main branch once, and
deploys it to the environments in the order of slipway.yaml. Environments of class production come last,
behind a protected environment that you set up.

Fill in the parts between marks once, such as how a job logs in to a cluster with OIDC: writing the file
again keeps them. If the file was edited outside the marks, it is not overwritten; the difference is
printed.

With --gitops, no job reaches a cluster: the job of each environment runs "slipway promote", which
commits the images to the environment's files.`,
		ValidArgs: ci.Names(),
		Args: func(cmd *cobra.Command, args []string) error {
			err := named("the name of a platform: github or gitlab")(cmd, args)
			if err == nil && !slices.Contains(cmd.ValidArgs, args[0]) {
				err = fmt.Errorf("%s: unknown platform %q: want github or gitlab", cmd.CommandPath(), args[0])
			}
			return err
		},
	}
	var show, gitops bool
	cmd.Flags().BoolVar(&show, "print", false, "print the workflow instead of writing it")
	cmd.Flags().BoolVar(&gitops, "gitops", false, "promote by committing to Git instead of deploying")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runCI(c.Context(), a, args[0], show, gitops)
	}
	return cmd
}

func runCI(ctx context.Context, a *app, name string, show, gitops bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	platform, _ := ci.Named(name)
	w, err := pipeline.Make(ctx, p, platform, pipeline.Options{
		GitOps: gitops, Releases: releases, Version: version, Render: a.renderOptions("render"),
	})
	if err != nil {
		return err
	}
	for _, text := range w.Warnings {
		a.warn("warning: %s", text)
	}
	if show {
		_, err = fmt.Fprint(a.stdout, w.Text)
		return err
	}
	change, toFill, err := w.Write()
	var foreign *pipeline.ForeignError
	switch {
	case errors.As(err, &foreign):
		lines := append([]string{"- existing file", "+ new file"}, words.Diff(foreign.Old, foreign.New)...)
		for _, l := range lines {
			fmt.Fprintln(a.stdout, styleOf(a.stdout).mark(l[:1], clean(l)))
		}
		return err
	case err != nil:
		return err
	case change == pipeline.Created:
		fmt.Fprintln(a.stdout, "wrote", w.File)
	case change == pipeline.Renewed:
		fmt.Fprintln(a.stdout, "wrote", w.File, "again and kept your parts")
	default:
		fmt.Fprintln(a.stdout, w.File, "is up to date")
	}
	if toFill {
		a.warn("next: fill in the parts of %s that `grep -n %q` finds", w.File, ci.ToFill)
	}
	return nil
}
