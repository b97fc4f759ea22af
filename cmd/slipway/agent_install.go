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
		Long: `Renders the environments and prints the manifests of an agent that deploys them from inside
their cluster: a Namespace, a ServiceAccount, a ConfigMap with the configuration, a Deployment with two
replicas, a NetworkPolicy, a PodDisruptionBudget, and a Service for webhooks, status and metrics. Each
namespace that the agent deploys to gets a Role and a RoleBinding with the permissions that these
environments need. A ClusterRole is included only if an environment has cluster-scoped objects.

By default the agent deploys each commit and reports drift; edit the printed configuration to change
that. Run install again when the manifests use a new kind.

The agent's Secrets are mounted; install neither reads nor prints them. Create them first:

  kubectl create namespace slipway
  kubectl -n slipway create secret generic git --from-file=password=FILE        # a token, for HTTPS
  kubectl -n slipway create secret generic git --from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE
  kubectl -n slipway create secret generic git --from-file=private-key=FILE     # with --github-app

Pass --git-credentials git with any of the three. The other Secrets have these keys: "secret" for
--webhook-secret, "allowed_signers" for --signers, "keys.asc" for --openpgp-signers, and "token" for
--forge-token. With --forge-token, or with --github-app and --forge github, the agent reverts failed
commits by pull request.

--config FILE installs an agent with a configuration of your own, which may have several repositories,
policies, notifications and the web UI. Write a file from key KEY of Secret NAME as
/etc/slipway-secrets/NAME/KEY: install mounts these Secrets. It adds listen, state, lease and
previewRole. If the configuration has previews, the agent also gets a ClusterRole, and a
ValidatingAdmissionPolicy limits that role to the namespaces of the previews.

--apply deploys the manifests as "slipway deploy" does: it shows the plan, asks for confirmation, waits
until both replicas are ready, and records the release in the agent's namespace. --namespace sets that
namespace.`,
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
		"additional ports that the NetworkPolicy lets the agent connect to, such as that of a notification webhook")
	config := f.String("config", "",
		"configuration file as for \"slipway agent run\"; replaces --repo, --branch, --path and the Secret flags")
	secretFlags(cmd, &o.Secrets)
	apply := f.Bool("apply", false, "deploy the manifests, and wait until both replicas are ready")
	act := &actOptions{out: new(format)}
	*act.out = asText
	waitFlags(cmd, act)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if act.yes && !*apply {
			return &usageError{errors.New("--yes requires --apply")}
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
			return nil, &usageError{fmt.Errorf("--%s cannot be used with --config: set it in the configuration", name)}
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
	f.StringVar(&s.Webhook, "webhook-secret", "", "Secret with the key that signs webhooks")
	f.StringVar(&s.Signers, "signers", "", "Secret with an allowed-signers file: deploy only commits signed by "+
		"one of its SSH keys")
	f.StringVar(&s.OpenPGP, "openpgp-signers", "",
		"Secret with OpenPGP keys: deploy only commits signed by one of them")
	f.StringVar(&s.Registry, "registry-credentials", "",
		"Secret of type kubernetes.io/dockerconfigjson with registry credentials")
	f.StringVar(&s.CA, "ca", "",
		"Secret with ca.crt: certificate authorities to trust in addition to the public ones")
	f.StringVar(&s.ForgeToken, "forge-token", "", "Secret with the token for opening pull requests")
	f.StringVar(&s.ForgeKind, "forge", "",
		"type of Git host: github, gitlab or gitea (default: derived from its name)")
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
