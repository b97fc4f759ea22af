package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/ci/gitops"
)

func newGitOpsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "gitops argocd|flux ENV", Short: "Print the objects by which Argo CD or Flux deploy an environment",
		Long: `Prints an Application for Argo CD, or a GitRepository with Kustomizations and HelmReleases for Flux, that
deploy the environment from its repository: for teams that keep their agent, and use check, why, compare and
promote of Slipway. Nothing is written to a cluster.

Slipway renders the environment first. It fails where Argo CD or Flux would deploy something else, such as
charts that are patched, and names the setting. Deleting the printed Application deletes none of the
environment's objects.`,
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
	f.StringVar(&o.Repo, "repo", "", "the repository's address (default: that of origin)")
	f.StringVar(&o.Branch, "branch", "", "the branch to deploy (default: the main branch of origin)")
	f.StringVar(&o.Namespace, "in", "", "the namespace of the printed objects (default argocd or flux-system)")
	f.BoolVar(&o.Manual, "manual", false, "let a person start each sync")
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
