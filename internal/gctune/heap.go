// Package gctune decides when the program collects garbage. It is imported for that alone, and imports
// next to nothing itself, so that it is initialised before most of the libraries.
package gctune

import (
	"runtime"
	"runtime/debug"
)

// ballast counts as heap and is never touched, so it takes no memory: what is made between two
// collections may be as much more.
var ballast []byte

// Initialising the libraries makes somewhat more than the 4 MB that the first collection would wait
// for, and a collection there was a fifth of a short command's CPU time: it waits for 16 MB. After it
// the percentage is the usual one. With the ballast, work of some seconds collects half as often, and
// takes no multiple of what it needs, as a higher percentage would.
var _ = wait(400, 16<<20)

func wait(percent, size int) bool {
	usual := debug.SetGCPercent(percent)
	runtime.AddCleanup(&struct{ _ [32]byte }{}, func(usual int) {
		ballast = make([]byte, size)
		debug.SetGCPercent(usual)
	}, usual)
	return true
}
