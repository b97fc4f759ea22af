package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/project"
)

// checkPatience is how long a page waits for the findings of a state of the source that was not checked yet.
// A check renders each environment many times.
const checkPatience = 800 * time.Millisecond

// checked are the findings of the present state of each project.
type checked struct {
	mu  sync.Mutex
	all map[string]*report
}

// report is closed when there are findings, or the error why there are none.
type report struct {
	key      string
	done     chan struct{}
	findings []finding.Finding
	err      error
}

// check returns the findings of a source, nil while they are not known.
func (s *Site) check(ctx context.Context, src project.Source) *report {
	key := src.Commit + " " + src.Tag
	if src.Tag == "" { // outside Git nothing says whether the files are the same
		key = time.Now().Truncate(10 * time.Second).String()
	}
	r := s.findings.report(src.Project.Name, key, func(r *report) {
		r.findings, r.err = s.options.Findings(context.WithoutCancel(ctx), src)
	})
	select {
	case <-r.done:
		return r
	case <-ctx.Done():
	case <-time.After(checkPatience):
	}
	return nil
}

// report returns what is known of a state of a project, and begins to find it out where nothing is.
func (c *checked) report(name, key string, find func(*report)) *report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.all[name]; r != nil && r.key == key {
		return r
	}
	if c.all == nil {
		c.all = map[string]*report{}
	}
	r := &report{key: key, done: make(chan struct{})}
	c.all[name] = r
	go func() {
		defer close(r.done)
		find(r)
	}()
	return r
}

// in returns the findings that concern an environment.
func (r *report) in(environment string) []finding.Finding {
	var found []finding.Finding
	for _, f := range r.findings {
		if len(f.Environments) == 0 || slices.Contains(f.Environments, environment) {
			found = append(found, f)
		}
	}
	return found
}
