package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/ci/gitops"
)

func newGitOpsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "gitops argocd|flux ENV", Short: "Print the objects that make Argo CD or Flux deploy an environment",
		Long: `Prints the objects that deploy the environment from its repository: an Application for Argo
CD, or a GitRepository with Kustomizations and HelmReleases for Flux. Use it if your team keeps Argo CD
or Flux, and runs check, why, compare and promote of Slipway beside it. Nothing is written to a cluster.

gitops renders the environment first. It fails, and names the setting, if Argo CD or Flux would deploy
something else, such as a chart without its patches. Deleting the printed Application deletes none of
the environment's objects.`,
		Example: "  slipway gitops argocd staging | kubectl apply -f -",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || args[0] != string(gitops.ArgoCD) && args[0] != string(gitops.Flux) {
				return fmt.Errorf("%s: want argocd or flux, and the name of an environment", cmd.CommandPath())
			}
			return nil
		},
	}
	var o gitops.Options
	f := cmd.Flags()
	f.StringVar(&o.Repo, "repo", "", "URL of the repository (default: that of the remote origin)")
	f.StringVar(&o.Branch, "branch", "", "branch to deploy (default: the main branch of origin)")
	f.StringVar(&o.Namespace, "in", "", "namespace of the printed objects (default argocd or flux-system)")
	f.BoolVar(&o.Manual, "manual", false,
		"sync manually: Argo CD or Flux deploys only when a person starts a sync")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		src, env, err := a.environment(c.Context(), args[1])
		if err != nil {
			return err
		}
		o.Render, o.Target = a.renderOptions("render"), a.namespace
		result, err := gitops.Make(c.Context(), gitops.Tool(args[0]), src, env, o)
		if err != nil {
			return err
		}
		a.notes(result.Notes)
		_, err = fmt.Fprint(a.stdout, result.Text)
		return err
	}
	return cmd
}
