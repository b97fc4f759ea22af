package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

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
      environments:           # of the repository's slipway.yaml
        staging: {context: staging, onCommit: deploy, onDrift: repair, writeBack: push}
        prod: {context: prod, onCommit: ask, onDrift: report, writeBack: never}
  listen: 127.0.0.1:9090      # /healthz, /readyz, /metrics, /status, /hooks
  state: DIRECTORY            # for clones; default: a temporary one

watchWindow: 10m (the default) is how long a healthy release is watched, to roll it back if it turns bad.

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
			Connect: connect, Render: a.renderOptions("deploy"), Log: log,
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

func newAgentStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show how an agent's environments stand", Args: cobra.NoArgs,
		Long: `Asks a running agent at the address that its configuration gives as "listen". For each environment it
prints the verdict on the newest commit, the commits seen and applied, the next look, the replica that leads,
the number of drifted fields and objects, and the last error with its age.

To reach an agent in a cluster, run "kubectl --namespace slipway port-forward deployment/slipway-agent 9090"
beside it. Either replica answers: the one that stands by asks the leader.`,
	}
	address := cmd.Flags().String("address", "127.0.0.1:9090", "HOST:PORT of the agent's \"listen\"")
	out := outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		all, err := askAgent(c.Context(), *address)
		if err != nil {
			return err
		}
		if *out == asJSON {
			return a.json(all)
		}
		for _, s := range all {
			printAgentStatus(a, s)
		}
		return nil
	}
	return cmd
}

// noAgentError says that no agent answers.
type noAgentError struct {
	address string
	err     error
}

func (e *noAgentError) Error() string {
	return fmt.Sprintf("ask the agent at %s: %v", e.address, e.err)
}
func (e *noAgentError) Unwrap() error { return e.err }

func askAgent(ctx context.Context, address string) ([]agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, &noAgentError{address, err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, &noAgentError{address, err}
	}
	defer response.Body.Close()
	var all []agent.Status
	if response.StatusCode != http.StatusOK {
		return nil, &noAgentError{address, fmt.Errorf("it answers %s", response.Status)}
	}
	if err := json.NewDecoder(response.Body).Decode(&all); err != nil {
		return nil, &noAgentError{address, err}
	}
	return all, nil
}

// statusDetails are the commits, the next look and the leader.
func statusDetails(s agent.Status) string {
	name := func(commit string) string { return cmp.Or(commit[:min(len(commit), 7)], "none") }
	text := "commit seen " + name(s.Seen) + ", applied " + name(s.Applied)
	if !s.Next.IsZero() {
		text += fmt.Sprintf(", next look in %s", max(0, time.Until(s.Next)).Round(time.Second))
	}
	if s.Leader != "" {
		text += ", led by " + s.Leader
	}
	return text
}

func printAgentStatus(a *app, s agent.Status) {
	style := styleOf(a.stdout)
	good := s.Verdict == agent.Synced && s.Error == "" && s.SourceError == "" && s.Drift == 0
	fmt.Fprintf(a.stdout, "%s  %s  %s\n", style.bold(s.Environment), style.state(good, string(s.Verdict)),
		clean(s.Message))
	if s.Drift > 0 {
		fmt.Fprintf(a.stdout, "  drift: %s; run `slipway drift %s` to see them\n", count(s.Drift, "change"),
			s.Environment)
	}
	fmt.Fprintf(a.stdout, "  %s\n", clean(statusDetails(s)))
	for _, line := range s.Pauses.Lines(time.Now()) {
		if s.Verdict != agent.Suspended || line != s.Message {
			fmt.Fprintf(a.stdout, "  %s\n", clean(line))
		}
	}
	for _, kind := range s.Polled {
		fmt.Fprintf(a.stdout, "  polled: %s\n", clean(oneLine(kind)))
	}
	if s.SourceError != "" {
		fmt.Fprintf(a.stdout, "  cannot read the repository for %s: %s\n",
			time.Since(s.SourceErrorSince).Round(time.Second), clean(oneLine(s.SourceError)))
	}
	if s.Error != "" {
		fmt.Fprintf(a.stdout, "  error for %s: %s\n", time.Since(s.ErrorSince).Round(time.Second),
			clean(oneLine(s.Error)))
	}
}
