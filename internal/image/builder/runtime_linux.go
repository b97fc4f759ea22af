package builder

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/moby/buildkit/executor"
	resources "github.com/moby/buildkit/executor/resources/types"
)

// refuse is the executor without a container runtime. A Dockerfile without RUN does not need one.
type refuse struct{}

var errRefused = errors.New(refusal)

func (refuse) Run(context.Context, string, executor.Mount, []executor.Mount, executor.ProcessInfo,
	chan<- struct{}) (resources.Recorder, error) {
	return nil, errRefused
}

func (refuse) Exec(context.Context, string, executor.ProcessInfo) error { return errRefused }

var runcVersion = regexp.MustCompile(`(?m)^runc version (\d+)\.(\d+)`)

// findRuntime returns the path of runc, or why it cannot be used. Older versions and Debian's crun lack an
// option that BuildKit uses (--keep).
func findRuntime(ctx context.Context) (path, reason string) {
	path, err := exec.LookPath("runc")
	if err != nil {
		return "", "runc is not on PATH"
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Sprintf("%s --version: %v", path, err)
	}
	m := runcVersion.FindSubmatch(out)
	if m == nil {
		return "", path + " does not print its version"
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	if major < 1 || major == 1 && minor < 1 {
		return "", fmt.Sprintf("%s is version %d.%d", path, major, minor)
	}
	return path, ""
}
