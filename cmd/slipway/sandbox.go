package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"slipway/internal/cluster/sandbox"
)

func newSandboxCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sandbox", Short: "Run a Kubernetes control plane, registry and Git server on this machine",
		Long: `A sandbox is one process on loopback that runs a real Kubernetes API server with its
controllers and scheduler, simulated nodes, an OCI registry and a Git server. The nodes look up each
image in the registry. It needs no Docker. The users of the contexts dev, staging and prod may each edit
one namespace; the user of the context admin may do everything.`,
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var name string
	cmd.PersistentFlags().StringVar(&name, "name", sandbox.Default,
		"name of the sandbox; several can run at once")
	with := func(run func(context.Context, sandbox.Instance) error) func(*cobra.Command, []string) error {
		return func(c *cobra.Command, _ []string) error {
			s, err := sandbox.Open(name)
			if errors.As(err, new(*sandbox.NameError)) {
				return &usageError{err}
			}
			if err != nil {
				return err
			}
			return run(c.Context(), s)
		}
	}
	cmd.AddCommand(newSandboxUp(a, with), newSandboxDown(a, with), newSandboxStatus(a, with),
		newSandboxReset(a, with))
	return cmd
}

// withSandbox makes the RunE of a command from a function of the instance that --name selects.
type withSandbox func(func(context.Context, sandbox.Instance) error) func(*cobra.Command, []string) error

type sandboxUpOptions struct {
	sandbox.Options
	foreground bool
	out        *format
}

func newSandboxUp(a *app, with withSandbox) *cobra.Command {
	var o sandboxUpOptions
	cmd := &cobra.Command{Use: "up", Short: "Start the sandbox in the background", Args: cobra.NoArgs}
	cmd.RunE = with(func(ctx context.Context, s sandbox.Instance) error { return runSandboxUp(ctx, a, s, o) })
	o.out = a.outputFlag(cmd, asText, asJSON)
	f := cmd.Flags()
	f.BoolVar(&o.foreground, "foreground", false, "run in the foreground until interrupted")
	f.IntVar(&o.Port, "port", 0, "port of the API server (default: the previous one, or a free one)")
	f.IntVar(&o.RegistryPort, "registry-port", 0,
		"port of the registry (default: the previous one, or a free one)")
	f.StringVar(&o.RegistryAuth, "registry-auth", "",
		"USER:PASSWORD that the registry requires (default: no authentication)")
	f.IntVar(&o.Nodes, "nodes", 3, "number of simulated nodes")
	return cmd
}

func runSandboxUp(ctx context.Context, a *app, s sandbox.Instance, o sandboxUpOptions) error {
	if st, err := s.State(); err == nil {
		fmt.Fprintf(a.stderr, "already up since %s\n", st.StartedAt.Local().Format("15:04:05"))
		return printSandbox(a, st, *o.out)
	}
	cmd, err := s.Command(o.Options)
	if err != nil {
		return err
	}
	if o.foreground {
		ctx, release := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer release()
		cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
		return sandbox.Run(ctx, cmd)
	}
	fmt.Fprintln(a.stderr, "starting the sandbox…")
	st, err := s.Start(ctx, cmd)
	if err != nil {
		return err
	}
	return printSandbox(a, st, *o.out)
}

func printSandbox(a *app, st sandbox.State, out format) error {
	if out == asJSON {
		return a.json(st)
	}
	fmt.Fprintf(a.stdout, "cluster     %s   contexts dev, staging, prod, admin\n", st.Server)
	fmt.Fprintf(a.stdout, "registry    %s   also as k3d-registry.localhost\n", st.Registry)
	fmt.Fprintf(a.stdout, "git server  %s\n", st.GitServer)
	fmt.Fprintf(a.stdout, "\nexport KUBECONFIG=%s\n", st.Kubeconfig)
	return nil
}

func newSandboxDown(a *app, with withSandbox) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the sandbox and keep its data", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, s sandbox.Instance) error {
			stopped, err := s.Stop(ctx)
			if err == nil && !stopped {
				fmt.Fprintln(a.stderr, "no sandbox is running; nothing to stop")
			} else if err == nil {
				fmt.Fprintln(a.stderr, "stopped; its data is kept in "+s.Data)
			}
			return err
		}),
	}
}

func newSandboxReset(a *app, with withSandbox) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "Stop the sandbox and delete its data", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, s sandbox.Instance) error {
			err := s.Reset(ctx)
			if err == nil {
				fmt.Fprintln(a.stderr, "deleted "+s.Data)
			}
			return err
		}),
	}
}

func newSandboxStatus(a *app, with withSandbox) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Show whether the sandbox runs, and its addresses",
		Args: cobra.NoArgs}
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = with(func(_ context.Context, s sandbox.Instance) error {
		st, err := s.State()
		switch {
		case errors.Is(err, fs.ErrNotExist) && *out == asJSON:
			return a.json(map[string]bool{"running": false})
		case errors.Is(err, fs.ErrNotExist):
			flag := ""
			if s.Name() != sandbox.Default {
				flag = " --name " + s.Name()
			}
			_, err = fmt.Fprintln(a.stdout, "down; start it with: slipway sandbox up"+flag)
			return err
		case err != nil:
			return err
		}
		return printSandbox(a, st, *out)
	})
	return cmd
}
