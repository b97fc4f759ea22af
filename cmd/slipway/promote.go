package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/check/finding"
	"slipway/internal/ci"
	"slipway/internal/git"
	"slipway/internal/git/forge"
	"slipway/internal/promote"
)

func newPromoteCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "promote [FROM] ENV", Short: "Write images into an environment's files, and commit them",
		Args: a.envArgs(1),
		Long: `Writes image tags and digests into the environment's own kustomization, values file or plain
manifests; the rest of each file stays the same, byte for byte. By default it takes the images that were
built from this commit. It renders before and after, and writes nothing unless only the image fields of
this environment change. It replaces a YAML alias by a value rather than edit the anchor. promote builds
no image and changes no cluster: your pipeline or agent deploys the commit.

Where the images come from:

  FROM      the digests of FROM's newest release, which must be healthy now. If ENV has "gates" in
            slipway.yaml, these must be open too. --past-gates REASON skips them; the commit records why.
  --from    the images in another environment's files, or those of its last healthy release. If another
            repository builds them, --from takes their versions, and the digests from the registry.
  --image   references that another pipeline built. promote resolves tags to digests, and refuses an
            image that the environment does not use or that the registry does not have.
  --follow  tags in the registry, for images that "follow" in slipway.yaml lists: the greatest version of
            a range, or the image that was built last. It never goes back to an older one.

promote refuses an image that is older than the one it replaces, judged by the commits in the tags, by
the versions, or by the commits in the images' labels. --older permits it.

--commit commits these files and nothing else. --push commits on top of the upstream branch and pushes
without force; if someone else pushed at the same time, it retries. --pr pushes to the branch
slipway/promote-ENV instead, and opens or updates a pull request at GitHub, GitLab, Gitea or Forgejo. It
reads the token from --token-file, GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN or FORGEJO_TOKEN.`,
		Example: `  slipway promote staging --push
  slipway promote dev --image ghcr.io/acme/web:1.4.2 --push
  slipway promote staging prod --pr`,
	}
	var o promote.Options
	out := a.outputFlag(cmd, asText, asJSON)
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "",
		"promote the images in the files of `ENV`, or in its last healthy release")
	f.StringArrayVar(&o.Images, "image", nil,
		"promote this image, such as ghcr.io/acme/web:1.4.2; may be repeated")
	f.StringVar(&o.PastGates, "past-gates", "", "skip the environment's gates, for this `REASON`")
	f.BoolVar(&o.Follow, "follow", false,
		"promote the newest tags in the registry, by \"follow\" in slipway.yaml")
	f.BoolVar(&o.Commit, "commit", false, "commit the edited files")
	f.BoolVar(&o.Push, "push", false, "commit, and push to the branch's upstream")
	pull := f.Bool("pr", false, "open a pull request, or update the one that is open")
	var at forge.Forge
	f.StringVar(&at.Kind, "forge", "",
		"type of Git host: github, gitlab or gitea (default: derived from its name)")
	f.StringVar(&at.TokenFile, "token-file", "", "file with the token for the Git host")
	f.BoolVar(&o.Older, "older", false, "allow images of an earlier commit or version than the current ones")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.Follow && (len(args) == 2 || o.From != "") {
			return &usageError{errors.New("promote: --follow takes images from a registry: leave out FROM")}
		}
		if len(o.Images) > 0 && (len(args) == 2 || o.From != "" || o.Follow) {
			return &usageError{errors.New("promote: --image names the images: leave out FROM and --follow")}
		}
		if len(args) == 2 {
			if o.From != "" {
				return &usageError{errors.New("promote: pass either FROM or --from")}
			}
			o.From, o.Proven = args[0], true
		}
		o.Checks = func(repository string) (forge.Forge, error) {
			return at.FromEnvironment(repository, os.Getenv)
		}
		if *pull {
			o.Forge = o.Checks
		}
		return runPromote(c.Context(), a, args[len(args)-1], o, *out)
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
	return printPromotion(a.cli, result, out)
}

// printPromotion prints each edit, and where it was committed and pushed.
func printPromotion(c *cli, r promote.Result, out format) error {
	c.notes(r.Notes)
	c.tell(func() (string, ci.Values) {
		values := imageValues(r.Images)
		values["commit"] = r.Commit
		return imagesMarkdown("slipway promote "+r.Environment, r.After), values
	})
	switch {
	case out == asJSON:
		return c.json(r)
	case len(r.Changes) == 0:
		fmt.Fprintln(c.stdout, r.Environment, " nothing to change")
		return nil
	}
	for _, l := range finding.LinesOf(r.Changes) {
		printLine(c.stdout, l)
	}
	switch {
	case r.Opened:
		fmt.Fprintf(c.stdout, "%s  opened %s\n", r.Environment, r.PullRequest)
	case r.PullRequest != "":
		fmt.Fprintf(c.stdout, "%s  updated %s\n", r.Environment, r.PullRequest)
	case r.Upstream != "":
		fmt.Fprintf(c.stdout, "%s  pushed to %s: %s\n", r.Environment, r.Upstream, git.Short(r.Commit))
	case r.Commit != "":
		fmt.Fprintf(c.stdout, "%s  committed %s\n", r.Environment, git.Short(r.Commit))
	}
	return nil
}
