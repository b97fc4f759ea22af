// Package gctune sets when the program collects garbage. It is imported for its side effect, and imports
// almost nothing, so that it is initialised before most libraries.
package gctune

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// ballastSize lets the heap grow by half of it more between two collections.
	ballastSize = 32 << 20
	// dearGrowth is how far the heap may grow beyond what is live before it is collected, where that is less
	// than the usual percentage.
	dearGrowth = 20 << 20
)

// ballast counts as heap, but is never touched and so uses no memory.
var ballast []byte

// The libraries allocate somewhat more than 4 MB while they are initialised, which is when the first
// collection starts by default, and that collection was a fifth of a short command's CPU time. So the first
// one starts at 16 MB, and after it the percentage is half of the usual one. With the ballast, a command that
// runs for seconds still collects half as often as by default, and one that holds thousands of objects does
// not need twice their memory.
var _ = wait(400)

func wait(percent int) bool {
	usual := debug.SetGCPercent(percent)
	afterNext(func() {
		ballast = make([]byte, ballastSize)
		if usual > 1 { // unless it is turned off
			usual /= 2
			adapt(usual, usual)
		}
		debug.SetGCPercent(usual)
	})
	return true
}

// adapt sets the percentage after each collection.
func adapt(usual, set int) {
	afterNext(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		now := percentage(usual, live[0].Value.Uint64())
		if now != set {
			debug.SetGCPercent(now)
		}
		adapt(usual, now)
	})
}

// percentage returns by how much a heap of that size, with the ballast, may grow: a large one by less, down
// to half of the usual part.
func percentage(usual int, live uint64) int {
	return max(usual/2, min(usual, int(100*dearGrowth/max(live, 1))))
}

// afterNext calls f after the next collection.
func afterNext(f func()) {
	runtime.AddCleanup(&struct{ _ [32]byte }{}, func(f func()) { f() }, f)
}
