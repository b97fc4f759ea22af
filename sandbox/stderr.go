package main

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// ownStderr is standard error for what we say to people, apart from what libraries write to it.
func ownStderr() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "stderr"), nil
}

// divertStderr sends what libraries write to standard error, etcd's client for one, to the log. A
// crash is told in both places.
func divertStderr(log, people *os.File) error {
	if err := unix.Dup2(int(log.Fd()), unix.Stderr); err != nil {
		return err
	}
	return debug.SetCrashOutput(people, debug.CrashOptions{})
}
