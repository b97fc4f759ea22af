// Package gctune sets when the program collects garbage, and gives memory back that it does not need. It is
// imported for its side effect, and imports almost nothing, so that it is initialised before most libraries.
package gctune

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// first is the percentage for the first collection. The libraries allocate somewhat more than 4 MB while
	// they are initialised, which is when it starts by default, and it was a fifth of a short command's CPU
	// time. So it starts at 16 MB.
	first = 400
	// room is how much garbage there may be before it is collected, in bytes. A percentage alone would
	// collect that of a short command too often, and keep too much of a command with thousands of objects.
	room = 20 << 20
	// least is the percentage of very large heaps, for which room is too little.
	least = 35
	// dropFrom is the size of the heap of a command that does much.
	dropFrom = 16 << 20
)

// maxMapped is how many bytes of the file such a command keeps mapped: its parts need different parts of the
// file.
var maxMapped = 32 << 20

var _ = start()

func start() bool {
	if usual := debug.SetGCPercent(first); usual < 0 { // a person has turned it off
		debug.SetGCPercent(usual)
		return false
	}
	afterEach(adjust)
	return true
}

// afterEach calls do after each collection.
func afterEach(do func()) {
	runtime.AddCleanup(&struct{ _ [32]byte }{}, func(do func()) {
		do()
		afterEach(do)
	}, do)
}

// present is the percentage that adjust has set.
var present = first

// adjust sets when the next collection starts, by the size of the heap that the last one left.
func adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	size := live[0].Value.Uint64()
	if size > dropFrom && mappedFile() > maxMapped {
		dropFile()
	}
	percent := max(least, int(room*100/max(1, size)))
	if percent != present { // each change stops the program for a moment
		present = percent
		debug.SetGCPercent(percent)
	}
}

// spare is how much unused memory a process keeps that has nothing to do, in bytes.
const spare = 16 << 20

// Return gives memory back to the system where much of it is unused. A process that runs for long and has
// done something large calls it: the runtime alone keeps what it once needed for minutes, or until there is
// garbage.
func Return() {
	is := []metrics.Sample{
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(is)
	size := func(i int) uint64 { return is[i].Value.Uint64() }
	if garbage := size(2) - min(size(2), size(3)); size(0)+size(1)+garbage > spare {
		dropFile()
		debug.FreeOSMemory()
	}
}
