// Package sandbox starts, finds and stops sandboxes on this machine: each is a directory, and a
// slipway-sandbox process that serves it. What the process does is in the module sandbox/.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// State is what slipway-sandbox writes to sandbox.json once it is ready.
type State struct {
	Running    bool      `json:"running"` // set by the reader, not in the file
	PID        int       `json:"pid"`
	StartedAt  time.Time `json:"startedAt"`
	Server     string    `json:"server"`
	Kubeconfig string    `json:"kubeconfig"`
	Registry   string    `json:"registry"`
	GitServer  string    `json:"gitServer"`
	Version    string    `json:"version"`
}

// ErrNoProgram says that the slipway-sandbox program was not found.
var ErrNoProgram = errors.New("slipway-sandbox is neither in the directory of slipway nor in PATH")

// NameError refuses a sandbox's name.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("sandbox name %q: use letters, digits and dashes", e.Name)
}

// Default is the name of the sandbox that commands use where no name is given.
const Default = "default"

// startTimeout is for a busy laptop; a start takes five seconds.
const startTimeout = 2 * time.Minute

// Instance is one sandbox.
type Instance struct {
	// Data is its directory.
	Data string
}

// Options are passed on to slipway-sandbox serve. Zero ports keep the last ones, or take free ones.
type Options struct {
	Port, RegistryPort int
	// RegistryAuth is USER:PASSWORD; empty: the registry asks for no login.
	RegistryAuth string
	Nodes        int
}

// Open returns the instance of a name, in $XDG_DATA_HOME/slipway/sandbox. It need not exist.
func Open(name string) (Instance, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return Instance{}, &NameError{name}
	}
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Instance{}, fmt.Errorf("find a directory for the sandbox: %w", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return Instance{Data: filepath.Join(base, "slipway", "sandbox", name)}, nil
}

// Name is the name that Open takes.
func (s Instance) Name() string { return filepath.Base(s.Data) }

func (s Instance) path(name string) string { return filepath.Join(s.Data, name) }

// State reads the state of the running process. It returns fs.ErrNotExist where no process runs.
func (s Instance) State() (State, error) {
	var st State
	b, err := os.ReadFile(s.path("sandbox.json"))
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, fmt.Errorf("read %s: %w", s.path("sandbox.json"), err)
	}
	// The file outlives a killed process, and another process may have its number by now.
	if !serves(st.PID, s.Data) {
		return st, fs.ErrNotExist
	}
	st.Running = true
	return st, nil
}

// serves says that a process is a slipway-sandbox of that directory.
func serves(pid int, data string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "\x00--data\x00"+data+"\x00")
}

// Command is the slipway-sandbox process that serves the instance, not yet started.
func (s Instance) Command(o Options) (*exec.Cmd, error) {
	program, err := findProgram()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("create the sandbox's directory: %w", err)
	}
	return exec.Command(program, "serve", "--data", s.Data,
		fmt.Sprintf("--port=%d", o.Port), fmt.Sprintf("--registry-port=%d", o.RegistryPort),
		fmt.Sprintf("--nodes=%d", o.Nodes), "--registry-auth="+o.RegistryAuth), nil
}

func findProgram() (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("the sandbox runs on Linux alone, also in a virtual machine: %w", ErrNoProgram)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "slipway-sandbox")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("slipway-sandbox")
	if err != nil {
		return "", ErrNoProgram
	}
	return path, nil
}

// Run starts a command of the instance and returns when it has ended. When ctx ends, the process is asked to
// stop.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	// A terminal sends Ctrl-C to the whole group, and two signals would end the sandbox at once
	// where one ends it in order.
	cmd.SysProcAttr = ownGroup()
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

// Start starts a command of the instance in a session of its own, and returns when the sandbox is ready.
func (s Instance) Start(ctx context.Context, cmd *exec.Cmd) (State, error) {
	log, err := os.Create(s.path("serve.log"))
	if err != nil {
		return State{}, fmt.Errorf("open the sandbox's log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownSession()
	if err := cmd.Start(); err != nil {
		return State{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return State{}, fmt.Errorf("the sandbox ended while starting (%v): %s", err, s.lastLine())
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			return State{}, fmt.Errorf("the sandbox did not become ready (%w); its log is %s", ctx.Err(),
				s.path("serve.log"))
		case <-tick.C:
			if st, err := s.State(); err == nil {
				return st, nil
			}
		}
	}
}

// lastLine is the last line of the instance's log, which says why a start failed.
func (s Instance) lastLine() string {
	b, err := os.ReadFile(s.path("serve.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// Stop ends the process and waits for it. It returns false where none was running.
func (s Instance) Stop(ctx context.Context) (bool, error) {
	st, err := s.State()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	process, err := os.FindProcess(st.PID)
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return false, fmt.Errorf("stop the sandbox (process %d): %w", st.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for serves(st.PID, s.Data) {
		select {
		case <-ctx.Done():
			return true, fmt.Errorf("the sandbox (process %d) does not end: %w", st.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return true, nil
}

// Reset stops the process and deletes the instance's data.
func (s Instance) Reset(ctx context.Context) error {
	if _, err := s.Stop(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(s.Data); err != nil {
		return fmt.Errorf("delete the sandbox's data: %w", err)
	}
	return nil
}
