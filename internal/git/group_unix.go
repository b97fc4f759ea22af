//go:build unix

package git

import (
	"os/exec"
	"syscall"
)

// asGroup makes the end of a command the end of the programs that it has started: a transport that waits for
// a server does not notice that git is gone.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
