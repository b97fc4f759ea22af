// Package sandboxtest gives tests a real control plane, registry and Git server: one sandbox for a
// test run, and in it for each test its own namespaces, users and names. It is for tests alone.
package sandboxtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Sandbox is a running sandbox.
type Sandbox struct {
	Data       string
	Kubeconfig string `json:"kubeconfig"`
	Registry   string `json:"registry"`
	GitServer  string `json:"gitServer"`
	PID        int    `json:"pid"`
	process    *exec.Cmd
	exited     chan struct{}
}

// startTimeout is generous: the machine may be busy compiling.
const startTimeout = 2 * time.Minute

// Start starts the sandbox of the test run, or takes the one whose data folder SLIPWAY_TEST_SANDBOX
// names. The program is SLIPWAY_SANDBOX, or bin/slipway-sandbox of this repository.
func Start(ctx context.Context) (*Sandbox, error) {
	if data := os.Getenv("SLIPWAY_TEST_SANDBOX"); data != "" {
		s := &Sandbox{Data: data}
		return s, s.read()
	}
	program, err := find()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp("", "slipway-test-")
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's folder: %w", err)
	}
	s := &Sandbox{Data: data, exited: make(chan struct{})}
	log, err := os.Create(filepath.Join(data, "serve.log"))
	if err != nil {
		return nil, fmt.Errorf("make the sandbox's log: %w", err)
	}
	defer log.Close()
	s.process = exec.Command(program, "serve", "--data", data, "--port=0", "--registry-port=0")
	s.process.Stdout, s.process.Stderr = log, log
	// A test binary that dies must not leave the sandbox behind.
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() { _ = s.process.Wait(); close(s.exited) }()
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func find() (string, error) {
	if p := os.Getenv("SLIPWAY_SANDBOX"); p != "" {
		return p, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "arch_test.go")); err != nil {
			continue
		}
		p := filepath.Join(dir, "bin", "slipway-sandbox")
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("%s is missing: run `make build` once", p)
		}
		return p, nil
	}
	return "", fmt.Errorf("not inside the repository: set SLIPWAY_SANDBOX to the slipway-sandbox program")
}

func (s *Sandbox) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.exited:
			log, _ := os.ReadFile(filepath.Join(s.Data, "serve.log"))
			return fmt.Errorf("the sandbox ended while starting: %s", strings.TrimSpace(string(log)))
		case <-ctx.Done():
			return fmt.Errorf("the sandbox in %s was not ready: %w", s.Data, ctx.Err())
		case <-tick.C:
			if s.read() == nil {
				return nil
			}
		}
	}
}

func (s *Sandbox) read() error {
	b, err := os.ReadFile(filepath.Join(s.Data, "sandbox.json"))
	if err != nil {
		return fmt.Errorf("no sandbox runs in %s: %w", s.Data, err)
	}
	return json.Unmarshal(b, s)
}

// Stop ends the sandbox and removes its data, unless it was there before.
func (s *Sandbox) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		_ = s.process.Process.Kill()
	}
	_ = os.RemoveAll(s.Data)
}

// Name is a fresh name, fit for a namespace or a registry path.
func Name(prefix string) string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%s-%x", prefix, b)
}
