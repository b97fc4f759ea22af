//go:build !unix

package sandbox

import "syscall"

// No sandbox is started here: see findProgram.
func ownGroup() *syscall.SysProcAttr { return nil }

func ownSession() *syscall.SysProcAttr { return nil }
