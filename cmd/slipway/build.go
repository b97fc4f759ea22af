package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/image"
)

func newBuildCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "build ENV", Short: "Build and push an environment's images, and print their digests",
		Args: a.envArgs(0),
		Long: `Builds each image of the project and pushes it to the repository that the environment's
manifests name. Its tag is sha-<commit>; if the commit has the Git tag v1.4.0, the image gets the tag
1.4.0 too. The tag of a commit is never overwritten.

An image is not built again if it is already in the registry, or if an earlier commit has an image from
the same Dockerfile, files and arguments: that image keeps its tag. An image that exists in another
environment's repository is copied. Uncommitted changes get a tag of their own, which is never deployed
to production.

If the manifests name a version, build still builds this commit: "slipway deploy" runs the version that
they name, and "slipway promote" replaces it.

--sign signs each image in the format of cosign 3, including images that were built before.`,
	}
	rebuild := cmd.Flags().Bool("rebuild", false,
		"build again even if no file changed, to get newer base images and downloads")
	s := signFlags(cmd.Flags(), "sign the images with --key, or in CI with the job's identity token")
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runBuild(c.Context(), a, args[0], *rebuild, s, *out)
	}
	return cmd
}

func runBuild(ctx context.Context, a *app, name string, rebuild bool, s *signing, out format) error {
	by, err := s.signer()
	if err != nil {
		return err
	}
	t, err := a.buildTarget(ctx, name)
	if err != nil {
		return err
	}
	images := buildOptions(a.cli)
	images.Rebuild = rebuild
	end := a.ci.Fold("images of " + name)
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{
		Build: true, Image: images, Anew: true, Sign: by, Unsigned: true,
	})
	end()
	if err != nil {
		return err
	}
	if len(prepared.Images) == 0 {
		a.warn("note: %s uses no image that this project builds", name)
	}
	for _, pin := range prepared.Images {
		if out == asJSON {
			err = a.json(pin)
		} else {
			_, err = fmt.Fprintln(a.stdout, pin.Reference())
		}
		if err != nil {
			return err
		}
	}
	a.tell(func() (string, ci.Values) {
		return imagesMarkdown("slipway build "+name, prepared.Images), imageValues(prepared.Images)
	})
	return nil
}

// buildOptions show how far copies are, and on a terminal and in CI the log of a build.
func buildOptions(c *cli) image.Options {
	var o image.Options
	o.Transfer = c.transfer
	_, onConsole := c.stderr.(*console)
	// Elsewhere only the log of a step that fails is shown.
	if !c.quiet && (isTerminal(c.stderr) || ci.IsRunning(os.Getenv)) {
		o.Progress, o.Plain = c.stderr, !onConsole
	}
	return o
}
