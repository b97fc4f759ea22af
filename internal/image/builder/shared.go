package builder

import (
	"context"
	"sync"
)

// Shared is one Builder for several builds, found when the first of them needs it.
type Shared struct {
	mu sync.Mutex
	b  *Builder
}

// Find returns the builder, and finds one first where there is none yet.
func (s *Shared) Find(ctx context.Context, o Options) (*Builder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b != nil {
		return s.b, nil
	}
	b, err := Find(ctx, o)
	s.b = b
	return b, err
}

// Close closes the builder, where one was found.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b == nil {
		return nil
	}
	return s.b.Close()
}
