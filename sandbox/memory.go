package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A start and every large rollout leave half of the heap empty, and Go gives that back only bit by
// bit. A memory limit was tried: with 200 pods it took twice the CPU.
const (
	memoryFirst = 5 * time.Second
	memoryEvery = 10 * time.Second
	memoryGrown = 64 << 20
)

// returnMemory gives memory back to the system: once after the start, then whenever the process has
// grown since.
func returnMemory(ctx context.Context) {
	wait := time.NewTimer(memoryFirst)
	defer wait.Stop()
	var least uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if least == 0 || heldMemory() > least+memoryGrown {
			debug.FreeOSMemory()
			least = heldMemory()
		}
		wait.Reset(memoryEvery)
	}
}

func heldMemory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
