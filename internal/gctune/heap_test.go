package gctune

import (
	"runtime"
	"runtime/debug"
	"testing"
)

var sink []byte

// collections makes megabytes of garbage, and tells how often that was collected.
func collections(megabytes int) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range megabytes {
		sink = make([]byte, 1<<20)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

// That the first collection waits is in cmd/slipway's help.txtar: it is once a process.
func TestBallast(t *testing.T) {
	for ballast == nil && t.Context().Err() == nil {
		collections(20)
	}
	if n := collections(8); n > 1 {
		t.Errorf("%d collections within 8 MB", n)
	}
	if p := debug.SetGCPercent(100); p != 50 {
		t.Errorf("the percentage stays at %d", p)
	}
}
