// Package gctune sets when the program collects garbage. It is imported for its side effect, and imports
// almost nothing, so that it is initialised before most libraries.
package gctune

import (
	"runtime"
	"runtime/debug"
)

// ballast counts as heap, but is never touched and so uses no memory. It lets the heap grow by half of its
// size more between two collections.
var ballast []byte

// The libraries allocate somewhat more than 4 MB while they are initialised, which is when the first
// collection starts by default, and that collection was a fifth of a short command's CPU time. So the first
// one starts at 16 MB, and after it the percentage is half of the usual one. With the ballast, a command that
// runs for seconds still collects half as often as by default, and one that holds thousands of objects does
// not need twice their memory.
var _ = wait(400, 32<<20)

func wait(percent, size int) bool {
	usual := debug.SetGCPercent(percent)
	runtime.AddCleanup(&struct{ _ [32]byte }{}, func(usual int) {
		ballast = make([]byte, size)
		if usual > 1 { // unless it is turned off
			usual /= 2
		}
		debug.SetGCPercent(usual)
	}, usual)
	return true
}
