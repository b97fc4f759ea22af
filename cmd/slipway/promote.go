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
		Long: `Finds the images of this commit in the registry, or with --from those of another
environment, and writes tag and digest into the environment's own kustomization, values file or plain
manifests. The rest of the file stays the same, byte for byte. Rendering proves that only the fields
that name the image change, and no other environment; otherwise promote fails and writes nothing. It
edits no anchor that an alias uses: an alias becomes a value of its own. It builds no image and changes
no cluster: the environment's keeper deploys the commit.

With FROM it promotes the digests of FROM's newest release, and fails unless that is healthy now. The
"gates" of an environment in slipway.yaml demand that, and for how long; --past-gates REASON goes past them,
and the reason is in the commit.

With --image it promotes the images of these references, which another pipeline has built. It looks the digest
of a tag up, and refuses an image that the environment does not use or that its registry does not have.

With --follow it promotes, once, what the tags of the registry say for the images that have an entry in
"follow" of slipway.yaml: the greatest version of a range, or the image that was built last. It never goes
back.

In a repository that deploys what others build, --from takes the versions that the other environment's
manifests name, and the digests that their tags have in the registry.

promote refuses an image that is older than the one that it replaces: by the commits that the tags name, by
their versions, or by the commits in the images' labels. --older permits it.

--commit commits these files and no other changes. --push commits on top of the upstream branch and
pushes, without force; if others push at the same time, it tries again. --pr pushes to the branch
slipway/promote-ENV instead, and opens a pull request at GitHub, GitLab, Gitea or Forgejo, or updates the one
that is open. The token is in --token-file, or in GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN or FORGEJO_TOKEN.`,
		Example: `  slipway promote staging --push
  slipway promote dev --image ghcr.io/acme/web:1.4.2 --push
  slipway promote staging prod --pr`,
	}
	var o promote.Options
	out := a.outputFlag(cmd, asText, asJSON)
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "",
		"promote the images in this environment's files, or in its last healthy release")
	f.StringArrayVar(&o.Images, "image", nil, "promote this image, such as ghcr.io/acme/web:1.4.2; repeatable")
	f.StringVar(&o.PastGates, "past-gates", "", "go past the environment's gates, for this reason")
	f.BoolVar(&o.Follow, "follow", false,
		"promote what the tags of registries say, where slipway.yaml has follow")
	f.BoolVar(&o.Commit, "commit", false, "commit the edited files")
	f.BoolVar(&o.Push, "push", false, "commit, and push to the branch's upstream")
	pull := f.Bool("pr", false, "open a pull request, or update the one that is open")
	var at forge.Forge
	f.StringVar(&at.Kind, "forge", "", "kind of the forge: github, gitlab or gitea (default: by the host)")
	f.StringVar(&at.TokenFile, "token-file", "", "file with the token for the forge")
	f.BoolVar(&o.Older, "older", false, "permit images of an earlier commit or version than the current ones")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.Follow && (len(args) == 2 || o.From != "") {
			return &usageError{errors.New("promote: --follow takes images from a registry: leave out FROM")}
		}
		if len(o.Images) > 0 && (len(args) == 2 || o.From != "" || o.Follow) {
			return &usageError{errors.New("promote: --image names the images: leave out FROM and --follow")}
		}
		if len(args) == 2 {
			if o.From != "" {
				return &usageError{errors.New("promote: --from and FROM say the same: leave one out")}
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
