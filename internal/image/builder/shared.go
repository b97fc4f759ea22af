package builder

import (
	"context"
	"sync"
)

// Shared is one Builder for several builds, looked for when the first of them needs it.
type Shared struct {
	mu sync.Mutex
	b  *Builder
}

// Find gives the builder that is there, or looks for one.
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

// Close ends the builder, where one was needed.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b == nil {
		return nil
	}
	return s.b.Close()
}
