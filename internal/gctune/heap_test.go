package gctune

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

var sink, held []byte

// settled makes garbage until the percentage is as wanted. What is allocated while garbage is collected
// counts as live once.
func settled(t *testing.T, isWanted func(percent int) bool) {
	t.Helper()
	for t.Context().Err() == nil {
		for range 40 {
			sink = make([]byte, 1<<20)
		}
		percent := debug.SetGCPercent(100)
		if debug.SetGCPercent(percent); isWanted(percent) {
			return
		}
	}
	t.Fatal("the percentage was never as wanted")
}

// That the first collection waits is in cmd/slipway's help.txtar: it is once a process.
func TestRoom(t *testing.T) {
	settled(t, func(percent int) bool { return percent > 150 }) // of a small heap
	held = make([]byte, 40<<20)
	settled(t, func(percent int) bool { return 40 <= percent && percent <= 50 }) // room for 20 MB
	held = make([]byte, 200<<20)
	settled(t, func(percent int) bool { return percent == least })
	held = nil
	settled(t, func(percent int) bool { return percent > 150 })
}

func TestReturn(t *testing.T) {
	held = make([]byte, 100<<20)
	for i := range held {
		held[i] = 1
	}
	held = nil
	Return()
	is := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	if metrics.Read(is); is[0].Value.Uint64() > spare {
		t.Errorf("%d bytes are free, and kept", is[0].Value.Uint64())
	}
}
