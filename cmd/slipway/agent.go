package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/agent"
	"slipway/internal/cluster"
)

func newAgentCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "agent", Short: "Keep environments equal to Git",
		Long: `An agent polls branches and deploys each new commit as "slipway deploy" does. It compares the clusters
with the recorded releases, and repairs drift where its configuration says "onDrift: repair". It rolls a
failed release back at once, from the record, and quarantines its objects: neither the agent nor "slipway
deploy" deploys them again until "slipway quarantine lift". With "writeBack: push", the agent also reverts
the files on the branch, so that Git and cluster agree.`,
	}
	cmd.AddCommand(newAgentRunCommand(a), newAgentInstallCommand(a), newAgentStatusCommand(a),
		newAgentSuspendCommand(a), newAgentResumeCommand(a))
	return cmd
}

func newAgentRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent until it is stopped", Args: cobra.NoArgs,
		Long: `Runs until it gets SIGTERM or Ctrl-C, and logs one line for each decision. It reads kubeconfig contexts
as all verbs do. Stopping or deleting the agent deletes none of the objects that it deployed.

The configuration:

  repositories:
    - url: https://github.com/acme/shop.git
      branch: main            # the default
      path: deploy            # of the project in the repository; default: its root
      interval: 15s           # the default
      webhookSecret: FILE     # take webhooks at POST /hooks/0 that are signed with it
      credentials: {username: git, passwordFile: FILE}         # or one of the next two
      # credentials: {sshKeyFile: FILE, knownHostsFile: FILE}
      # credentials: {githubApp: {id: "1", installation: "2", privateKeyFile: FILE}}
      signers: {allowedSigners: FILE, openpgp: FILE}           # deploy only commits that they signed
      submodules: allow       # those of the same server; default: refuse
      environments:           # of the repository's slipway.yaml
        staging: {context: staging, onCommit: deploy, onDrift: repair, writeBack: push}
        prod: {context: prod, onCommit: ask, onDrift: report, writeBack: never}
  listen: 127.0.0.1:9090      # /healthz, /readyz, /metrics, /status, /hooks, the web UI
  ui:                         # serve the web UI, too: see docs/ui.md
    url: https://slipway.example.com
    oidc: {issuer: URL, clientID: ID, clientSecretFile: FILE}
    groups: [dev, ops]        # of the people; others do not count
  state: DIRECTORY            # for clones; default: a temporary one
  limits: {cloneSize: 1Gi, renderMemory: 1Gi, renderTime: 2m}   # the defaults

A url of oci://REPO:TAG reads what "slipway render ENV --push --sign" has pushed, in place of Git, and needs
"keys: [FILE]", public keys one of which must have signed it: see docs/gitops.md.

notifications: [{kind: slack, urlFile: FILE}] tells receivers of decisions; after: [staging] in an environment
waits until that one is healthy at the same commit; windows and repairWindows say when commits are
deployed, and drift is set back: see docs/gitops.md.

watchWindow: 10m (the default) is how long a healthy release is watched, to roll it back if it turns bad.

promote push or pull-request (default: never) writes what the gates of slipway.yaml let through into the
environment's files: see docs/promotion.md. publish: [status, deployment] beside the url tells the forge each
verdict, as a commit status and a deployment. onPullRequest: plan in an environment comments on pull requests
what merging them would change there. previews beside the url deploys pull requests that have a label,
each into a namespace of its own: see docs/gitops.md.

onCommit deploy (default) or ask · onDrift report (default) or repair · writeBack never (default), push
or pull-request, with "forge: {kind: github, api: URL, tokenFile: FILE}" beside the url. takeOver: true deploys
an environment that Argo CD or Flux keeps, too.`,
		Example: "  slipway agent run --config agent.yaml",
	}
	file := cmd.Flags().String("config", "agent.yaml", "the configuration")
	verbose := cmd.Flags().Bool("verbose", false, "also log each step of a deploy")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		text, err := os.ReadFile(*file)
		if err != nil {
			return fmt.Errorf("read the agent's configuration: %w", err)
		}
		config, err := agent.Parse(text)
		if err != nil {
			return &agentFileError{*file, err}
		}
		level := slog.LevelInfo
		if *verbose {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
		connect := a.connectOptions()
		connect.InCluster = serviceAccountDir
		return agent.New(config, agent.Options{
			Connect: connect, Render: a.renderOptions("deploy"), Log: log, Hint: hintOf,
			Describe: describePlan,
		}).Run(c.Context())
	}
	return cmd
}

// serviceAccountDir is where the ServiceAccount of a pod is mounted. Tests, which run in no pod, set it.
var serviceAccountDir = cluster.ServiceAccountDir

// agentFileError says what is wrong in an agent's configuration.
type agentFileError struct {
	file string
	err  error
}

func (e *agentFileError) Error() string { return e.file + ": " + e.err.Error() }
func (e *agentFileError) Unwrap() error { return e.err }
