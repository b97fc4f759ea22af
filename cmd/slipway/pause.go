package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway/internal/ci"
	"slipway/internal/release"
)

func holdFlag(f *pflag.FlagSet, to **time.Duration) {
	usage := "keep an agent from repairing drift for this `duration`; 0 ends the hold"
	f.Func("hold", usage, func(text string) error {
		d, err := time.ParseDuration(text)
		if err == nil && d < 0 {
			err = errors.New("want a duration such as 2h, or 0")
		}
		*to = &d
		return err
	})
}

// runHold keeps an agent from repairing drift, or ends that.
func runHold(ctx context.Context, a *app, name string, o driftOptions) error {
	if *o.hold == 0 {
		return resume(ctx, a, name, false)
	}
	return pause(ctx, a, name, release.Pause{Reason: o.reason, Until: time.Now().UTC().Add(*o.hold).Truncate(
		time.Second)}, "--hold")
}

func newAgentSuspendCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "suspend ENV", Short: "Stop agents from changing an environment", Args: a.envArgs(0),
		Long: `Stops agents from deploying, repairing drift and rolling back in the environment, until
"slipway agent resume ENV". A running deploy is not interrupted. Drift is still reported. The suspension
is stored with the environment's releases in the cluster; "slipway status" and "slipway plan" show it.`,
		Example: "  slipway agent suspend prod --reason 'the database is being moved'",
	}
	reason := cmd.Flags().String("reason", "", "reason, shown by status, drift and plan")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return pause(c.Context(), a, args[0], release.Pause{Deploys: true, Reason: *reason}, "agent suspend")
	}
	return cmd
}

func newAgentResumeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "resume ENV", Short: "Let agents change an environment again", Args: a.envArgs(0),
		RunE: func(c *cobra.Command, args []string) error { return resume(c.Context(), a, args[0], true) },
	}
}

func pause(ctx context.Context, a *app, name string, p release.Pause, flag string) error {
	if p.Reason = strings.TrimSpace(p.Reason); p.Reason == "" {
		return &usageError{errors.New(flag + " needs --reason TEXT: status, drift and plan show it")}
	}
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	p.Who = ci.Actor(os.Getenv)
	if p, err = t.Records().Pause(ctx, p); err == nil {
		fmt.Fprintf(a.stdout, "%s  %s\n", name, clean(p.String()))
	}
	return err
}

func resume(ctx context.Context, a *app, name string, deploys bool) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	was, err := t.Records().Resume(ctx, deploys)
	text := "the pause has ended"
	if !was {
		text = "nothing was paused"
	}
	if err == nil {
		fmt.Fprintf(a.stdout, "%s  %s\n", name, text)
	}
	return err
}
