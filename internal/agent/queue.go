package agent

import (
	"cmp"
	"context"
	"sync"
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

// goAhead waits until the environment may look at a commit. It gives way when it waits for a rollout, at
// giveWay, and after a while.
func (e *environment) goAhead(ctx context.Context) error {
	leave, err := e.agent.queue.enter(ctx, cmp.Or(e.target.Environment.Context, e.policy.Context))
	if err == nil {
		e.leave.Store(&leave)
	}
	return err
}

func (e *environment) giveWay() {
	if leave := e.leave.Swap(nil); leave != nil {
		(*leave)()
	}
}
