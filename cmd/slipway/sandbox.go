package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// sandboxState is what slipway-sandbox writes to sandbox.json once it is ready.
type sandboxState struct {
	Running    bool      `json:"running"` // ours, not in the file
	PID        int       `json:"pid"`
	StartedAt  time.Time `json:"startedAt"`
	Server     string    `json:"server"`
	Kubeconfig string    `json:"kubeconfig"`
	Registry   string    `json:"registry"`
	GitServer  string    `json:"gitServer"`
	Version    string    `json:"version"`
}

// errNoSandbox says that the sandbox's program is not there.
var errNoSandbox = errors.New("slipway-sandbox is neither beside slipway nor on the PATH")

// sandboxStartTimeout is how long a start may take on a busy laptop; five seconds are usual.
const sandboxStartTimeout = 2 * time.Minute

// sandbox is one instance: a folder, and perhaps a process that serves it.
type sandbox struct{ data string }

func newSandboxCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sandbox", Short: "A Kubernetes control plane, registry and Git server in one process on this machine",
		Long: `A real Kubernetes API server with its controllers and scheduler, simulated nodes that check each
image in the registry, an OCI registry and a Git server: one process on loopback, no Docker.
Contexts dev, staging and prod belong to users who may edit one namespace each; admin may do all.`,
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var name string
	cmd.PersistentFlags().StringVar(&name, "name", defaultSandbox, "which sandbox; several run side by side")
	at := func() (sandbox, error) { return openSandbox(name) }
	cmd.AddCommand(newSandboxUp(a, at), newSandboxDown(a, at), newSandboxStatus(a, at), newSandboxReset(a, at))
	return cmd
}

// sandboxUpOptions are passed on to slipway-sandbox serve.
type sandboxUpOptions struct {
	foreground   bool
	port         int
	registryPort int
	registryAuth string
	nodes        int
	out          *format
}

func newSandboxUp(a *app, at func() (sandbox, error)) *cobra.Command {
	var o sandboxUpOptions
	cmd := &cobra.Command{
		Use: "up", Short: "Start it, in the background", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := at()
			if err != nil {
				return err
			}
			return runSandboxUp(c.Context(), a, s, o)
		},
	}
	o.out = outputFlag(cmd, asText, asJSON)
	f := cmd.Flags()
	f.BoolVar(&o.foreground, "foreground", false, "stay until interrupted")
	f.IntVar(&o.port, "port", 0, "the API server's port (default: the last one, or a free one)")
	f.IntVar(&o.registryPort, "registry-port", 0, "the registry's port (default: the last one, or a free one)")
	f.StringVar(&o.registryAuth, "registry-auth", "", "USER:PASSWORD that the registry asks for (default: open)")
	f.IntVar(&o.nodes, "nodes", 3, "simulated nodes")
	return cmd
}

func runSandboxUp(ctx context.Context, a *app, s sandbox, o sandboxUpOptions) error {
	if st, err := s.running(); err == nil {
		fmt.Fprintf(a.stderr, "already up since %s\n", st.StartedAt.Local().Format("15:04:05"))
		return printSandbox(a, st, *o.out)
	}
	program, err := sandboxProgram()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return fmt.Errorf("make the sandbox's folder: %w", err)
	}
	cmd := exec.Command(program, "serve", "--data", s.data,
		fmt.Sprintf("--port=%d", o.port), fmt.Sprintf("--registry-port=%d", o.registryPort),
		fmt.Sprintf("--nodes=%d", o.nodes), "--registry-auth="+o.registryAuth)
	if o.foreground {
		return s.foreground(ctx, a, cmd)
	}
	st, err := s.background(ctx, a, cmd)
	if err != nil {
		return err
	}
	return printSandbox(a, st, *o.out)
}

func printSandbox(a *app, st sandboxState, out format) error {
	if out == asJSON {
		st.Running = true
		return a.json(st)
	}
	fmt.Fprintf(a.stdout, "cluster     %s   contexts dev, staging, prod, admin\n", st.Server)
	fmt.Fprintf(a.stdout, "registry    %s   also as k3d-registry.localhost\n", st.Registry)
	fmt.Fprintf(a.stdout, "git server  %s\n", st.GitServer)
	fmt.Fprintf(a.stdout, "\nexport KUBECONFIG=%s\n", st.Kubeconfig)
	return nil
}

func (s sandbox) foreground(ctx context.Context, a *app, cmd *exec.Cmd) error {
	ctx, release := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer release()
	cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
	// A terminal sends Ctrl-C to the whole group, and two signals would end the sandbox at once
	// where one ends it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the sandbox ended: %w", err)
	}
	return nil
}

// background starts the sandbox in a session of its own and returns when it is ready.
func (s sandbox) background(ctx context.Context, a *app, cmd *exec.Cmd) (sandboxState, error) {
	out, err := os.Create(s.path("serve.log"))
	if err != nil {
		return sandboxState{}, fmt.Errorf("open the sandbox's log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	fmt.Fprintln(a.stderr, "starting the sandbox…")
	if err := cmd.Start(); err != nil {
		return sandboxState{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, sandboxStartTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return sandboxState{}, fmt.Errorf("the sandbox ended while starting (%v): %s", err, s.lastLine())
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			return sandboxState{}, fmt.Errorf("the sandbox was not ready (%w); its log is %s", ctx.Err(), s.path("serve.log"))
		case <-tick.C:
			if st, err := s.running(); err == nil {
				return st, nil
			}
		}
	}
}

func newSandboxDown(a *app, at func() (sandbox, error)) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop it; data stays", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := at()
			if err != nil {
				return err
			}
			stopped, err := s.stop(c.Context())
			if err == nil && !stopped {
				fmt.Fprintln(a.stderr, "no sandbox is running here; nothing to stop")
			} else if err == nil {
				fmt.Fprintln(a.stderr, "stopped; its data is kept in "+s.data)
			}
			return err
		},
	}
}

func newSandboxReset(a *app, at func() (sandbox, error)) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "Stop it and delete its data", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := at()
			if err != nil {
				return err
			}
			if _, err := s.stop(c.Context()); err != nil {
				return err
			}
			if err := os.RemoveAll(s.data); err != nil {
				return fmt.Errorf("delete the sandbox's data: %w", err)
			}
			fmt.Fprintln(a.stderr, "deleted "+s.data)
			return nil
		},
	}
}

func newSandboxStatus(a *app, at func() (sandbox, error)) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Say whether it runs, and where", Args: cobra.NoArgs}
	out := outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		s, err := at()
		if err != nil {
			return err
		}
		st, err := s.running()
		switch {
		case errors.Is(err, fs.ErrNotExist) && *out == asJSON:
			return a.json(map[string]bool{"running": false})
		case errors.Is(err, fs.ErrNotExist):
			_, err = fmt.Fprintln(a.stdout, "down; start it with: slipway sandbox up"+s.flag())
			return err
		case err != nil:
			return err
		}
		return printSandbox(a, st, *out)
	}
	return cmd
}

// flag is what selects this sandbox on the command line.
func (s sandbox) flag() string {
	if name := filepath.Base(s.data); name != defaultSandbox {
		return " --name " + name
	}
	return ""
}

// defaultSandbox is the one that nobody names.
const defaultSandbox = "default"

// openSandbox finds the instance's folder: $XDG_DATA_HOME/slipway/sandbox/NAME.
func openSandbox(name string) (sandbox, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return sandbox{}, &usageError{fmt.Errorf("sandbox name %q: use letters, digits and dashes", name)}
	}
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return sandbox{}, fmt.Errorf("find a folder for the sandbox: %w", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return sandbox{data: filepath.Join(base, "slipway", "sandbox", name)}, nil
}

func (s sandbox) path(name string) string { return filepath.Join(s.data, name) }

// running is the state of the live process; fs.ErrNotExist when there is none.
func (s sandbox) running() (sandboxState, error) {
	var st sandboxState
	b, err := os.ReadFile(s.path("sandbox.json"))
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, fmt.Errorf("read %s: %w", s.path("sandbox.json"), err)
	}
	// The file outlives a killed process, and its number may belong to somebody else by now.
	if !isSandbox(st.PID, s.data) {
		return st, fs.ErrNotExist
	}
	return st, nil
}

func isSandbox(pid int, data string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "\x00--data\x00"+data+"\x00")
}

// stop ends the process and waits for it; false when none was running.
func (s sandbox) stop(ctx context.Context) (bool, error) {
	st, err := s.running()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := syscall.Kill(st.PID, syscall.SIGTERM); err != nil {
		return false, fmt.Errorf("stop the sandbox (process %d): %w", st.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for isSandbox(st.PID, s.data) {
		select {
		case <-ctx.Done():
			return true, fmt.Errorf("the sandbox (process %d) does not end: %w", st.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return true, nil
}

func (s sandbox) lastLine() string {
	b, err := os.ReadFile(s.path("serve.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func sandboxProgram() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "slipway-sandbox")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("slipway-sandbox")
	if err != nil {
		return "", errNoSandbox
	}
	return path, nil
}
