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
		Long: `Builds each of the project's images for the state that Git describes and pushes it to the repository
that the environment's manifests name, with the tag sha-<commit>; where the commit is tagged v1.4.0,
with 1.4.0 too. An image that is in the registry already is not built again, neither is one whose
Dockerfile, files and arguments an earlier commit had: it is the same image, and keeps its name. One that
another environment's repository has is copied. A tag of a commit is never overwritten. A version that the
manifests state changes nothing of that: it is what "slipway deploy" takes, and "slipway promote" replaces.
Changes that are not committed get a tag of their own, which never goes to production.

With --sign each image is signed, as cosign 3 does it, also one that was built before.`,
	}
	rebuild := cmd.Flags().Bool("rebuild", false,
		"build anew what has been built from the same files: base images and what is fetched may be newer")
	s := signFlags(cmd.Flags())
	out := outputFlag(cmd, asText, asJSON)
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
	images := a.buildOptions()
	images.Rebuild = rebuild
	prepared, err := a.prepare(ctx, t, deploy.PrepareOptions{Image: images, Anew: true, Sign: by,
		Unsigned: true})
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

// prepare renders and builds, in a fold of the log.
func (a *app) prepare(ctx context.Context, t deploy.Target, o deploy.PrepareOptions) (
	deploy.Prepared, error) {
	defer a.ci.Fold("images of " + t.Environment.Name)()
	o.Build = true
	return deploy.Prepare(ctx, t, o)
}

// buildOptions show the log of a build on a terminal and in CI.
func (a *app) buildOptions() image.Options {
	var o image.Options
	// Elsewhere the log of a step is shown when that step fails.
	if onTerminal := isTerminal(a.stderr); onTerminal || ci.IsRunning(os.Getenv) {
		o.Progress, o.Plain = a.stderr, !onTerminal
	}
	return o
}
