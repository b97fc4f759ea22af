package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/cluster/sandboxtest"
	"slipway/internal/deploy"
)

// repository is a working tree that pushes to the sandbox's Git server.
type repository struct {
	t *testing.T
	// name replaces NAME in files.
	name string
	dir  string
	url  string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	address := sandboxtest.Shared(t).GitServer + "/" + sandboxtest.Name("r") + ".git"
	r := &repository{t: t, dir: t.TempDir(), url: address}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// write writes a file; "-> TARGET" makes a link.
func (r *repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if r.name != "" {
		text = strings.ReplaceAll(text, "NAME", r.name)
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if target, isLink := strings.CutPrefix(text, "-> "); err == nil && isLink {
		err = os.Symlink(target, path)
	} else if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// push commits everything and pushes it.
func (r *repository) push() string {
	r.t.Helper()
	r.git("add", "-A", "-f")
	r.git("commit", "-q", "-m", "change")
	r.git("push", "-q", r.url, "HEAD:refs/heads/main")
	return r.git("rev-parse", "HEAD")
}

// running is an agent that a test started, and what it logs.
type running struct {
	*Agent
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed and replaced at each line
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.grown)
	r.grown = make(chan struct{})
	return r.text.Write(p)
}

func (r *running) log() (string, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String(), r.grown
}

// until waits for a condition on the log.
func (r *running) until(t *testing.T, what string, is func(log string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		log, grown := r.log()
		if is(log) {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("never: %s; the log is\n%s", what, log)
		}
	}
}

func (r *running) says(t *testing.T, text string, times int) {
	t.Helper()
	r.until(t, fmt.Sprintf("%d times %q", times, text), func(log string) bool {
		return strings.Count(log, text) >= times
	})
}

// start runs an agent until the test ends.
func start(t *testing.T, kubeconfig, config string, changes ...func(*Agent)) *running {
	t.Helper()
	c, err := Parse([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{grown: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(r, nil))
	r.Agent = New(c, Options{Connect: deploy.ConnectOptions{Kubeconfig: kubeconfig}, Log: log})
	for _, change := range changes {
		change(r.Agent)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}
