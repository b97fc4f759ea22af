package origin

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"slipway/internal/render"
)

const (
	defaultTime = 10 * time.Second
	defaultWork = 300_000
)

// budget bounds the renders of an experiment, by the objects that they make and by time: which mutations it
// skips should rarely depend on how fast the machine is.
type budget struct {
	time     time.Duration
	deadline time.Time
	objects  int64
	spent    atomic.Int64
}

func newBudget(o Options) *budget {
	b := &budget{time: cmp.Or(o.Budget, defaultTime), objects: int64(cmp.Or(o.Work, defaultWork))}
	b.deadline = time.Now().Add(b.time)
	return b
}

// spend counts the objects of the parts that were rendered, and not taken from base.
func (b *budget) spend(parts, base []*render.Part) {
	for i, p := range parts {
		if p != nil && (i >= len(base) || base[i] != p) {
			b.spent.Add(int64(p.Len()))
		}
	}
}

// isSpent reports whether no further render may be started.
func (b *budget) isSpent(ctx context.Context) bool {
	return ctx.Err() != nil || b.spent.Load() >= b.objects || time.Now().After(b.deadline)
}

// String says why no further render was started: "more than 10s", "more than 300000 rendered objects".
func (b *budget) String() string {
	if b.spent.Load() >= b.objects {
		return fmt.Sprintf("more than %d rendered objects", b.objects)
	}
	return fmt.Sprintf("more than %s", b.time)
}
