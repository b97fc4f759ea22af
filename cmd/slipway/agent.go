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
		Use: "agent", Short: "Keep environments in sync with Git",
		Long: `An agent polls Git branches and deploys each new commit as "slipway deploy" does. It
compares each cluster with the recorded release, and repairs drift if its configuration says "onDrift:
repair". It rolls back a failed release at once, from the record, and quarantines its objects: neither
the agent nor "slipway deploy" deploys them again until you run "slipway quarantine lift". With
"writeBack: push", the agent also reverts the files on the branch, so that Git and the cluster agree.`,
	}
	cmd.AddCommand(newAgentRunCommand(a), newAgentInstallCommand(a), newAgentStatusCommand(a),
		newAgentSuspendCommand(a), newAgentResumeCommand(a))
	return cmd
}

func newAgentRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent until it is stopped", Args: cobra.NoArgs,
		Long: `Runs until it receives SIGTERM or Ctrl-C, and logs one line per decision. It reads
kubeconfig contexts as all commands do. Stopping or deleting the agent deletes none of the objects that
it deployed.

The configuration:

  repositories:
    - url: https://github.com/acme/shop.git
      branch: main            # the default
      path: deploy            # directory of the project in the repository; default: the root
      interval: 15s           # between polls; the default
      webhookSecret: FILE     # accept webhooks signed with this secret at POST /hooks/0
      credentials: {username: git, passwordFile: FILE}         # or one of the next two lines
      # credentials: {sshKeyFile: FILE, knownHostsFile: FILE}
      # credentials: {githubApp: {id: "1", installation: "2", privateKeyFile: FILE}}
      signers: {allowedSigners: FILE, openpgp: FILE}           # deploy only commits that these keys signed
      submodules: allow       # fetch submodules from the same server; default: refuse
      environments:           # as named in the repository's slipway.yaml
        staging: {context: staging, onCommit: deploy, onDrift: repair, writeBack: push}
        prod: {context: prod, onCommit: ask, onDrift: report, writeBack: never}
  listen: 127.0.0.1:9090      # serves /healthz, /readyz, /metrics, /status, /hooks and the web UI
  ui:                         # also serve the web UI: see docs/ui.md
    url: https://slipway.example.com
    oidc: {issuer: URL, clientID: ID, clientSecretFile: FILE}
    groups: [dev, ops]        # groups that grant permissions; the UI ignores all others
  state: DIRECTORY            # keeps the clones; default: a temporary directory
  limits: {cloneSize: 1Gi, renderMemory: 1Gi, renderTime: 2m}   # the defaults

Settings of an environment:

  onCommit: deploy (default) | ask            deploy each new commit, or wait for a person to deploy it
  onDrift: report (default) | repair          report drift, or deploy the recorded release again
  writeBack: never (default) | push | pull-request
                                              revert a failed commit on the branch, or propose the revert
  promote: never (default) | push | pull-request
                                              promote what the gates allow: see docs/promotion.md
  onPullRequest: never (default) | plan       comment on pull requests what merging them would change
  watchWindow: 10m (default)                  how long a healthy release is watched
  after: [staging]                            wait until staging is healthy at the same commit
  windows, repairWindows                      when to deploy commits, and when to repair drift
  takeOver: true                              deploy although Argo CD or Flux manages the environment

Further settings of a repository: "forge: {kind: github, api: URL, tokenFile: FILE}" opens pull
requests. "publish: [status, deployment]" reports each verdict to the forge. "previews" deploys labelled
pull requests, each to its own namespace. A url of oci://REPO:TAG reads the objects that "slipway render
ENV --push --sign" pushed, instead of Git; it requires "keys: [FILE]", of which one must have signed
them. "notifications: [{kind: slack, urlFile: FILE}]" at the top level sends decisions to a webhook.
docs/gitops.md describes all of them.`,
		Example: "  slipway agent run --config agent.yaml",
	}
	file := cmd.Flags().String("config", "agent.yaml", "configuration file")
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
