package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/agent/install"
	"slipway/internal/deploy"
	"slipway/internal/object"
)

func newAgentInstallCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "install ENV…", Short: "Print or apply the manifests of an agent", Args: cobra.MinimumNArgs(1),
		Long: `Renders the environments and prints what an agent needs that keeps them from within their cluster: a
Namespace, a ServiceAccount, a Role and a RoleBinding in each namespace with the permissions that deploys of
these manifests take, a ConfigMap with its configuration, a Deployment of two replicas, a NetworkPolicy, a
PodDisruptionBudget, and a Service for webhooks, status and metrics. A ClusterRole is among them only where
the manifests have objects without a namespace.
The environments are deployed on each commit; drift is reported. Change the printed configuration for another
policy. Install again when the manifests use a new kind.

Secrets of the agent's namespace are mounted, and neither read nor printed. Make them before:

  kubectl create namespace slipway
  kubectl -n slipway create secret generic git --from-file=password=FILE        # a token, for https
  kubectl -n slipway create secret generic git --from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE
  kubectl -n slipway create secret generic git --from-file=private-key=FILE     # with --github-app

Pass --git-credentials git with each of them. A Secret for --webhook-secret has the key "secret", one for
--signers "allowed_signers", one for --openpgp-signers "keys.asc", and one for --forge-token "token". With
--forge-token, failed commits are reverted by pull request; with --github-app and --forge github, too.

With --config FILE the configuration is yours: several repositories, policies, notifications, the web UI.
A file of it is the key KEY of Secret NAME when it is written as /etc/slipway-secrets/NAME/KEY; these
Secrets are mounted. listen, state, lease and previewRole are added. With previews the agent gets a ClusterRole,
and a ValidatingAdmissionPolicy that limits it to their namespaces.

--apply deploys the manifests as "slipway deploy" does: with a plan, a confirmation, a wait until both replicas
are ready, and a record in the agent's namespace. --namespace is the namespace of the agent.`,
		Example: `  slipway agent install prod --repo https://github.com/acme/shop.git \
    --image ghcr.io/acme/slipway-agent@sha256:… | kubectl apply -f -`,
	}
	o := install.Options{}
	f := cmd.Flags()
	f.StringVar(&o.URL, "repo", "", "URL of the repository that the agent fetches")
	f.StringVar(&o.Branch, "branch", "main", "branch that the agent follows")
	f.StringVar(&o.Path, "path", "", "directory of the project in the repository (default: its root)")
	f.StringVar(&o.Image, "image", "", "image of the agent, by digest")
	f.StringVar(&o.Name, "name", "slipway-agent", "name of the agent's objects")
	f.IntSliceVar(&o.Ports, "egress-port", nil,
		"further ports that the agent connects to, such as that of a receiver of notifications")
	config := f.String("config", "",
		"configuration as for \"slipway agent run\", in place of --repo, --branch, --path and their Secrets")
	secretFlags(cmd, &o.Secrets)
	apply := f.Bool("apply", false, "deploy the manifests, and wait until both replicas are ready")
	act := &actOptions{out: new(format)}
	*act.out = asText
	waitFlags(cmd, act)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if act.yes && !*apply {
			return &usageError{errors.New("--yes is for --apply")}
		}
		if *config != "" {
			var err error
			if o.Config, err = readInstallConfig(c, *config); err != nil {
				return err
			}
		}
		p, err := a.projectOf(args...)
		if err != nil {
			return err
		}
		o.Environments, o.Namespace, o.Render = args, cmp.Or(a.namespace, "slipway"), a.renderOptions("deploy")
		m, err := install.Make(c.Context(), p, o)
		if err != nil {
			return err
		}
		a.notes(m.Notes)
		if !*apply {
			return object.WriteYAML(a.stdout, m.Objects)
		}
		return applyAgent(c.Context(), a, m, o.Namespace, act)
	}
	return cmd
}

// readInstallConfig reads the configuration of --config. It fails where flags say the same.
func readInstallConfig(cmd *cobra.Command, file string) ([]byte, error) {
	for _, name := range []string{"repo", "branch", "path", "git-credentials", "github-app", "webhook-secret",
		"signers", "openpgp-signers", "forge-token", "forge"} {
		if cmd.Flags().Changed(name) {
			return nil, &usageError{fmt.Errorf("--%s goes without --config, which says it", name)}
		}
	}
	text, err := os.ReadFile(file)
	if err == nil && len(text) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("read the agent's configuration: %w", err)
	}
	return text, nil
}

// secretFlags are those that name Secrets.
func secretFlags(cmd *cobra.Command, s *install.Secrets) {
	f := cmd.Flags()
	f.StringVar(&s.Git, "git-credentials", "", "Secret with the token or SSH key for the repository")
	f.StringVar(&s.GitHubApp, "github-app", "", "ID/INSTALLATION of the GitHub App whose key is in "+
		"--git-credentials")
	f.StringVar(&s.Webhook, "webhook-secret", "", "Secret that webhooks are signed with")
	f.StringVar(&s.Signers, "signers", "", "Secret with the allowed-signers file: deploy only commits that they"+
		" signed")
	f.StringVar(&s.OpenPGP, "openpgp-signers", "", "Secret with the OpenPGP keys of those who may sign commits")
	f.StringVar(&s.Registry, "registry-credentials", "",
		"Secret of type kubernetes.io/dockerconfigjson with the logins of registries")
	f.StringVar(&s.CA, "ca", "", "Secret with ca.crt: certificate authorities to trust beside the public ones")
	f.StringVar(&s.ForgeToken, "forge-token", "", "Secret with the token that pull requests are opened with")
	f.StringVar(&s.ForgeKind, "forge", "", "kind of the forge: github, gitlab or gitea (default: by the host)")
}

// applyAgent deploys the manifests of an agent.
func applyAgent(ctx context.Context, a *app, m install.Manifests, namespace string, o *actOptions) error {
	if err := a.mayAsk(o.yes); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	src, err := m.Source(dir, namespace)
	if err != nil {
		return err
	}
	t, err := a.connector(src)(src.Project.Environments[0])
	if err != nil {
		return err
	}
	t.Notify = listen(a.cli, o)
	proposal, err := deploy.Propose(ctx, t, deploy.ProposeOptions{})
	if err != nil {
		return err
	}
	return carryOut(ctx, a.cli, t, proposal, o)
}
