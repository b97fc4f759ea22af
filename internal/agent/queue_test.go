package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Few environments of a cluster go ahead at a time; none waits for another cluster, or for long.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		began := time.Now()
		enter := func(context string, want time.Duration) (leave func()) {
			t.Helper()
			leave, err := q.enter(t.Context(), context)
			if took := time.Since(began); err != nil || took != want {
				t.Errorf("%s: entered after %v, want %v: %v", context, took, want, err)
			}
			return leave
		}
		var leaves []func()
		for range abreast {
			leaves = append(leaves, enter("a", 0))
		}
		enter("b", 0)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.enter(ended, "a"); err == nil {
			t.Error("entered after its context had ended")
		}
		time.AfterFunc(time.Second, leaves[3])
		enter("a", time.Second)
		leaves[3]() // once more: it frees one slot, not two
		for range abreast - 1 {
			enter("a", queueTime) // the others are late
		}
		enter("a", time.Second+queueTime)
	})
}
