package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/release"
)

// actOptions are the flags of every verb that changes an environment.
type actOptions struct {
	yes        bool
	force      bool
	noRollback bool
	timeout    time.Duration
	out        *format
}

func actFlags(cmd *cobra.Command) *actOptions {
	o := &actOptions{out: outputFlag(cmd, asText, asJSON)}
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.force, "force-conflicts", false, "take fields over that another manager owns")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to watch (default: what the objects' own deadlines say)")
	return o
}

func (o *actOptions) options() deploy.Options {
	return deploy.Options{Who: who(), Timeout: o.timeout, NoRollback: o.noRollback}
}

func newDeployCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "deploy ENV", Short: "Build, push, plan, apply, watch and record", Args: cobra.ExactArgs(1),
		Long: `Builds what is in no registry yet, shows the plan, asks, applies it stage by stage and watches until
all is healthy. Each deploy is recorded in the environment's namespace before its first change. In
staging and production a release that fails gives way to the last healthy one.`,
	}
	o := actFlags(cmd)
	cmd.Flags().BoolVar(&o.noRollback, "no-rollback", false, "leave a release that fails in place, to look at it")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runDeploy(c.Context(), a, args[0], o)
	}
	return cmd
}

func runDeploy(ctx context.Context, a *app, name string, o *actOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	t.Notify = a.listen(o)
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Build: true, Image: a.imageOptions(t)})
	if err != nil {
		return err
	}
	return a.propose(ctx, t, prepared, o)
}

// propose plans, shows, asks and applies: what deploy, rollback and delete have in common.
func (a *app) propose(ctx context.Context, t deploy.Target, prepared deploy.Prepared, o *actOptions) error {
	proposal, err := deploy.Plan(ctx, t, prepared, deploy.PlanOptions{Force: o.force})
	if err != nil {
		return err
	}
	if err := a.show(t, proposal, o); err != nil {
		return err
	}
	if proposal.Done() {
		return a.report(t, proposal.Latest, o, "nothing changed")
	}
	if err := a.confirm(o.yes, fmt.Sprintf("Apply this to %s (%s)?", t.Environment.Name, t.Environment.Class)); err != nil {
		return err
	}
	started := time.Now()
	rel, err := deploy.Apply(ctx, t, proposal, o.options())
	var failed *deploy.FailedError
	if errors.As(err, &failed) && *o.out == asText {
		printEvidence(a.stderr, failed.Release.Evidence)
	}
	if err != nil {
		return err
	}
	return a.report(t, rel, o, fmt.Sprintf("%s after %.1f s", rel.Status, time.Since(started).Seconds()))
}

// listen prints events as they come: text on standard error, or JSON lines on standard output.
func (a *app) listen(o *actOptions) func(deploy.Event) {
	if *o.out == asText {
		return a.progress
	}
	enc := json.NewEncoder(a.stdout)
	return func(e deploy.Event) {
		if err := enc.Encode(e); err != nil {
			a.warn("warning: print an event: %v", err)
		}
	}
}

func (a *app) show(t deploy.Target, p deploy.Proposal, o *actOptions) error {
	if *o.out == asJSON {
		return a.json(p.Plan)
	}
	printPlan(a.stdout, t, p)
	return nil
}

// report prints the outcome.
func (a *app) report(t deploy.Target, rel release.Release, o *actOptions, text string) error {
	if *o.out == asJSON {
		return a.json(rel)
	}
	fmt.Fprintf(a.stdout, "%s  release %d  %s\n", t.Environment.Name, rel.Revision, text)
	return nil
}

// printEvidence shows why a release failed.
func printEvidence(w io.Writer, failures []cluster.Evidence) {
	for _, f := range failures {
		fmt.Fprintf(w, "\n✗ %s  %s\n", f.Ref, f.Cause)
		if at := f.Origin.String(); at != "" {
			fmt.Fprintf(w, "    written at %s\n", at)
		}
		if f.Pod != "" {
			fmt.Fprintf(w, "    pod %s", f.Pod)
			if f.Container != "" {
				fmt.Fprintf(w, "  container %s", f.Container)
			}
			fmt.Fprintf(w, "  %s", f.Reason)
			if f.ExitCode != nil {
				fmt.Fprintf(w, "  exit code %d", *f.ExitCode)
			}
			if f.Restarts > 0 {
				fmt.Fprintf(w, "  restarts %d", f.Restarts)
			}
			fmt.Fprintln(w)
		}
		if f.Message != "" {
			fmt.Fprintf(w, "    %s\n", f.Message)
		}
		for _, e := range f.Events {
			fmt.Fprintf(w, "    event  %s\n", e)
		}
		which := "log"
		if f.Previous {
			which = "log of the run before"
		}
		for _, n := range f.Notes {
			fmt.Fprintf(w, "    note  %s\n", n)
		}
		for _, l := range f.LogLines {
			fmt.Fprintf(w, "    %s  %s\n", which, l)
		}
	}
	if len(failures) > 0 {
		fmt.Fprintln(w)
	}
}
