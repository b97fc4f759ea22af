package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// abreast is how many environments of one cluster are brought to a commit at a time. A commit may be for a
	// thousand: all at once, each needs so long that its plan is too old when it has the lock, and is made
	// again.
	abreast = 16
	// queueTime is how long one keeps others waiting: a server that does not answer holds them up no longer.
	queueTime = 5 * time.Second
)

// queue lets few environments of a cluster go ahead at a time.
type queue struct {
	mu    sync.Mutex
	slots map[string]chan struct{} // by the context of the cluster
}

func (q *queue) of(context string) chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.slots == nil {
		q.slots = map[string]chan struct{}{}
	}
	if q.slots[context] == nil {
		q.slots[context] = make(chan struct{}, abreast)
	}
	return q.slots[context]
}

// enter waits for a slot. Its holder calls leave, as often as it likes; after a while it is free anyway.
func (q *queue) enter(ctx context.Context, context string) (leave func(), err error) {
	slots := q.of(context)
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	free := sync.OnceFunc(func() { <-slots })
	late := time.AfterFunc(queueTime, free)
	return func() { late.Stop(); free() }, nil
}

// slot is the place of an environment in the queue of its cluster. Any goroutine may give way.
type slot struct{ leave atomic.Pointer[func()] } // nil: it is not in the queue

func (s *slot) enter(ctx context.Context, q *queue, context string) error {
	leave, err := q.enter(ctx, context)
	if err == nil {
		s.leave.Store(&leave)
	}
	return err
}

func (s *slot) giveWay() {
	if leave := s.leave.Swap(nil); leave != nil {
		(*leave)()
	}
}
