// Package gctune sets when the program collects garbage. It is imported for its side effect, and imports
// almost nothing, so that it is initialised before most libraries.
package gctune

import (
	"runtime"
	"runtime/debug"
)

// ballast counts as heap, but is never touched and so uses no memory. It lets the heap grow by its size
// between two collections.
var ballast []byte

// The libraries allocate somewhat more than 4 MB while they are initialised, which is when the first
// collection starts by default, and that collection was a fifth of a short command's CPU time. So the first
// one starts at 16 MB, and after it the percentage is the usual one again. With the ballast, a command that
// runs for seconds collects half as often, and unlike with a higher percentage its memory does not grow by a
// multiple.
var _ = wait(400, 16<<20)

func wait(percent, size int) bool {
	usual := debug.SetGCPercent(percent)
	runtime.AddCleanup(&struct{ _ [32]byte }{}, func(usual int) {
		ballast = make([]byte, size)
		debug.SetGCPercent(usual)
	}, usual)
	return true
}
