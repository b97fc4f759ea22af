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

// awaitPercentage makes garbage until the percentage is as wanted: it is set a moment after a collection.
func awaitPercentage(t *testing.T, want int) {
	t.Helper()
	for t.Context().Err() == nil {
		runtime.GC()
		p := debug.SetGCPercent(want)
		if debug.SetGCPercent(p); p == want {
			return
		}
	}
}

// That the first collection waits is in cmd/slipway's help.txtar: it is once a process.
func TestBallast(t *testing.T) {
	for ballast == nil && t.Context().Err() == nil {
		collections(20)
	}
	awaitPercentage(t, 50)
	if n := collections(8); n > 1 {
		t.Errorf("%d collections within 8 MB", n)
	}
	// A large heap grows by less.
	large := make([]byte, 64<<20)
	awaitPercentage(t, 25)
	runtime.KeepAlive(large)
}

func TestPercentage(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 40 << 20: 50, 50 << 20: 40, 70 << 20: 28, 500 << 20: 25} {
		if got := percentage(50, live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d", live>>20, got, want)
		}
	}
}
