package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/agent"
	"slipway/internal/words"
)

func newAgentStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show the state of an agent's environments", Args: cobra.NoArgs,
		Long: `Prints for each environment the verdict on the newest commit, the commits seen and applied,
the time of the next poll, the leading replica, the number of drifted fields and objects, and the last
error with its age.

Without --address it asks the agent at ` + agent.LocalAddress + `. If none listens there, or if you pass
--context or --namespace, it asks the agent in that cluster (by default, of the current context) through
the API server. This requires permission to "get services/proxy" in the agent's namespace, which
ClusterRole edit includes. Both replicas answer: the standby asks the leader.`,
		Example: "  slipway agent status --context prod\n  slipway agent status --address 127.0.0.1:9091",
	}
	address := cmd.Flags().String("address", "", "HOST:PORT of the agent: \"listen\" in its configuration")
	name := cmd.Flags().String("name", "slipway-agent", "name of the agent's objects in the cluster")
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		all, err := agent.StatusOf(c.Context(), agent.Asked{
			Address: *address, Local: agentAddress, Name: *name, Connect: a.connectOptions(),
			Notify: func(text string) { a.warn("%s", text) },
		})
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

// agentAddress is where "agent status" looks for an agent of this machine. Only tests change it, because
// other programs may listen there.
var agentAddress = agent.LocalAddress

// statusDetails are the commits, the next look and the leader.
func statusDetails(s agent.Status) string {
	name := func(commit string) string { return cmp.Or(commit[:min(len(commit), 7)], "none") }
	text := "commit seen " + name(s.Seen) + ", applied " + name(s.Applied)
	if !s.Next.IsZero() {
		text += fmt.Sprintf(", next look in %s", words.Duration(max(0, time.Until(s.Next)).Round(time.Second)))
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
			age(s.SourceErrorSince), clean(oneLine(s.SourceError)))
	}
	if s.Error != "" {
		fmt.Fprintf(a.stdout, "  error for %s: %s\n", age(s.ErrorSince),
			clean(oneLine(s.Error)))
	}
}
