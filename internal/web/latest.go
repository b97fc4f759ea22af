package web

import (
	"context"
	"sync"
	"time"
)

// How long a page waits for an answer. It then shows the one before it, and how old that is: the page of a
// large environment comes soon, and that of a small one is up to date.
const (
	shortPatience = 600 * time.Millisecond
	leastPatience = 50 * time.Millisecond // that of a page which has spent the short one
	longPatience  = 10 * time.Second
	// restFactor times as long as it took to find an answer, the next one is not looked for.
	restFactor = 3
	// manyObjects is from how many on an environment is large.
	manyObjects = 1000
)

// answers are the last ones to some questions, by name.
type answers[T any] struct {
	mu  sync.Mutex
	all map[string]*answer[T]
}

// question is what is to be found out.
type question[T any] struct {
	name string
	// key is what it is about: while it stays the same, an answer remains valid. Empty: none does.
	key      string
	patience time.Duration
	find     func(context.Context) (T, error)
}

// answer is the last one to a question. Value and Err hold where At is set.
type answer[T any] struct {
	Value T
	Err   error
	At    time.Time // when it was asked for

	took    time.Duration // the last time
	found   time.Time     // when it was there
	key     string        // what the question was about
	running chan struct{} // closed when the next answer is there; nil: none is asked for
}

// Known says that there is an answer.
func (a answer[T]) Known() bool { return !a.At.IsZero() }

// Old says that the answer is one from before, because the next one takes too long.
func (a answer[T]) Old() bool {
	return a.running != nil || a.Known() && a.found.Sub(a.At) > longPatience
}

// Before says that the answer was asked for before a time, or that there is none yet.
func (a answer[T]) Before(t time.Time) bool { return a.running != nil || a.At.Before(t) }

// ask finds the answer to a question, once for all who ask at the same time, and waits for it with patience.
func (s *answers[T]) ask(ctx context.Context, q question[T]) answer[T] {
	return s.wait(ctx, q, s.begin(ctx, q))
}

// wait waits with patience for what begin returned.
func (s *answers[T]) wait(ctx context.Context, q question[T], done chan struct{}) answer[T] {
	if done != nil {
		timer := time.NewTimer(q.patience)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.all[q.name]
}

// begin asks unless somebody does, and returns what is closed when the answer is there; nil: it is there.
func (s *answers[T]) begin(ctx context.Context, q question[T]) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]*answer[T]{}
	}
	a := s.all[q.name]
	if a == nil {
		a = &answer[T]{}
		s.all[q.name] = a
	}
	if a.running != nil {
		return a.running
	}
	if q.key != "" && a.key == q.key && a.Known() {
		return nil
	}
	if a.took > q.patience && time.Since(a.found) < restFactor*a.took {
		return nil // open pages would keep the cluster busy with the same question
	}
	done, began := make(chan struct{}), time.Now()
	a.running = done
	go func() {
		value, err := q.find(context.WithoutCancel(ctx))
		s.mu.Lock()
		defer s.mu.Unlock()
		a.Value, a.Err, a.At, a.key, a.running = value, err, began, q.key, nil
		a.found, a.took = time.Now(), time.Since(began)
		close(done)
	}()
	return done
}
