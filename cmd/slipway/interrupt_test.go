package main

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Ctrl-C ends a command at once while the API server does not say which kinds it serves.
func TestInterruptedDiscovery(t *testing.T) {
	t.Parallel()
	v := newVictim(t, false)
	v.round(t)
	v.hangs.Store(true)
	for _, args := range [][]string{
		{"plan", "prod"}, {"deploy", "prod", "--yes"},
	} {
		t.Run(args[0], func(t *testing.T) {
			select {
			case <-v.killed: // of the run before
			default:
			}
			cmd := exec.CommandContext(t.Context(), "slipway", args...)
			cmd.Dir, cmd.Env = v.dir, v.env
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Logf("interrupted at %s", <-v.killed)
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err := cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != codeInterrupted {
				t.Errorf("exit code %d (%v): %s", code, err, stderr.String())
			}
			// A retry of discovery alone would take twenty.
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it ended after %s", took)
			}
		})
	}
}

func isDiscovery(r *http.Request) bool { return r.URL.Path == "/api" || r.URL.Path == "/apis" }
