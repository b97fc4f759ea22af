package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/agent"
	"slipway/internal/cluster"
	"slipway/internal/deploy"
)

func newAgentStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show how an agent's environments stand", Args: cobra.NoArgs,
		Long: `For each environment of an agent it prints the verdict on the newest commit, the commits seen
and applied, the next look, the replica that leads, the number of drifted fields and objects, and the last
error with its age.

Without --address it asks the agent that listens at ` + localAgent + `. Where none does, or --context or
--namespace is given, it asks the one in the cluster of that context, else of the current one, through the API
server: that takes the permission to "get services/proxy" in the agent's namespace, which ClusterRole edit
has. Either replica answers: the one that stands by asks the leader.`,
		Example: "  slipway agent status --context prod\n  slipway agent status --address 127.0.0.1:9091",
	}
	address := cmd.Flags().String("address", "", "HOST:PORT of the agent's \"listen\"")
	name := cmd.Flags().String("name", "slipway-agent", "name of the agent in its cluster")
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		text, err := a.askAgent(c.Context(), *address, *name)
		if err != nil {
			return err
		}
		var all []agent.Status
		if err := json.Unmarshal(text, &all); err != nil {
			return fmt.Errorf("read the status of the agent: %w", err)
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

// agentAddress is where "agent status" looks for an agent of this machine. Only tests change it, because
// other programs may listen there.
var agentAddress = localAgent

const (
	// localAgent is where the examples have an agent listen that runs outside a cluster.
	localAgent = "127.0.0.1:9090"
	// agentNamespace is where "agent install" puts it.
	agentNamespace = "slipway"

	askTime = 10 * time.Second
)

// noAgentError says that no agent answers.
type noAgentError struct {
	address string
	err     error
}

func (e *noAgentError) Error() string {
	return fmt.Sprintf("ask the agent at %s: %v", e.address, e.err)
}
func (e *noAgentError) Unwrap() error { return e.err }

// askAgent returns the status of an agent: at an address, on this machine or in a cluster.
func (a *app) askAgent(ctx context.Context, address, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if address != "" {
		return askAddress(ctx, address)
	}
	var refused error // by this machine
	if a.context == "" && a.namespace == "" {
		text, err := askAddress(ctx, agentAddress)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return text, err
		}
		refused = err
	}
	at, err := a.context, error(nil)
	if at == "" {
		at, err = cluster.CurrentContext(a.kubeconfig)
	}
	if refused != nil && at == "" {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	namespace := cmp.Or(a.namespace, agentNamespace)
	c, err := deploy.ConnectLease(at, namespace, a.connectOptions())
	if err != nil {
		return nil, err
	}
	a.warn("asking %s in namespace %s of context %s", name, namespace, at)
	text, err := c.AskService(ctx, name, "http", "status")
	if errors.As(err, new(*cluster.PermissionError)) {
		err = &agentDeniedError{err, namespace, name}
	}
	return text, err
}

// agentDeniedError says that the user may not ask the agent through the API server. It does not unwrap: the
// way out is another one than that of a deploy.
type agentDeniedError struct {
	err             error
	namespace, name string
}

func (e *agentDeniedError) Error() string { return e.err.Error() }

func askAddress(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, &noAgentError{address, err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, &noAgentError{address, err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &noAgentError{address, fmt.Errorf("it answers %s", response.Status)}
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &noAgentError{address, err}
	}
	return text, nil
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
	if s.Promotion != "" {
		fmt.Fprintf(a.stdout, "  promotion: %s\n", clean(oneLine(s.Promotion)))
	}
	if s.Publishing != "" {
		fmt.Fprintf(a.stdout, "  publishing: %s\n", clean(oneLine(s.Publishing)))
	}
	for _, line := range s.Pauses.Lines(time.Now()) {
		if s.Verdict != agent.Suspended || line != s.Message {
			fmt.Fprintf(a.stdout, "  %s\n", clean(line))
		}
	}
	if s.Clock != "" {
		fmt.Fprintf(a.stdout, "  clock: %s\n", clean(s.Clock))
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
