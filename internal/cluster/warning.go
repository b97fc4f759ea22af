package cluster

import (
	"context"
	"sync"
)

// warner hands on each warning of the API server once.
type warner struct {
	to   func(string)
	mu   sync.Mutex
	seen map[string]bool
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext. 299 is the only code
// that the API server uses.
func (w *warner) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if w.to == nil || code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[text] {
		return
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	w.seen[text] = true
	w.to(text)
}
