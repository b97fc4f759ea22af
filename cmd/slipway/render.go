package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/object"
	"slipway/internal/render"
)

func newRenderCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "render ENV", Short: "Print what an environment's manifests say", Args: a.envArgs(0),
		Long: `Prints the environment's objects as its overlay or folder renders them, on standard output. It
asks no cluster and no registry: images stay as written, Secret values too.`,
	}
	out := outputFlag(cmd, asYAML, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runRender(c.Context(), a, args[0], *out)
	}
	return cmd
}

func runRender(ctx context.Context, a *app, name string, out format) error {
	src, env, err := a.environment(ctx, name)
	if err != nil {
		return err
	}
	result, err := render.Render(ctx, src.Project.Dir, env)
	if err != nil {
		return err
	}
	for _, w := range result.Warnings {
		a.warn("warning: %s", w)
	}
	if out == asJSON {
		for _, o := range result.Set.Objects() {
			if err := a.json(o.Body); err != nil {
				return err
			}
		}
		return nil
	}
	return object.WriteYAML(a.stdout, result.Set)
}
