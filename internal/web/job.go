package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/release"
)

// jobs are what runs for the environments, or ran last: at most one for each.
type jobs struct {
	mu   sync.Mutex
	all  map[string]*job
	work sync.WaitGroup
}

// job is one build or deploy.
type job struct {
	Title   string
	Started time.Time

	mu       sync.Mutex
	events   []deploy.Event
	finished time.Time
	release  release.Release
	err      error
}

// maxEvents is how many events of a job are kept: the last ones.
const maxEvents = 500

// begin runs something for an environment, and leads to the page that shows how it goes.
func (s *Site) begin(w http.ResponseWriter, r *http.Request, t deploy.Target, title string,
	run func(context.Context, deploy.Target) (release.Release, error)) {
	topic := t.Source.Project.Name + "/" + t.Environment.Name
	j := &job{Title: title, Started: time.Now()}
	if err := s.jobs.add(topic, j); err != nil {
		s.fail(w, r, err)
		return
	}
	t.Notify = func(e deploy.Event) {
		j.note(e)
		s.hub.tell(topic)
	}
	// The page that was left must not end a deploy; the end of Slipway does, as Ctrl-C ends a verb.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(s.base, cancel)
	s.jobs.work.Go(func() {
		defer cancel()
		defer stop()
		rel, err := run(ctx, t)
		j.end(rel, err)
		s.hub.tell(topic)
	})
	http.Redirect(w, r, at("p", t.Source.Project.Name, t.Environment.Name, "progress"), http.StatusSeeOther)
}

func (all *jobs) add(topic string, j *job) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.all == nil {
		all.all = map[string]*job{}
	}
	if was := all.all[topic]; was != nil && !was.done() {
		return fmt.Errorf("%s: %s is running: wait until it has ended", topic, was.Title)
	}
	all.all[topic] = j
	return nil
}

func (all *jobs) of(topic string) *job {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.all[topic]
}

func (j *job) done() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.finished.IsZero()
}

func (j *job) note(e deploy.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.events = append(j.events, e); len(j.events) > maxEvents {
		j.events = slices.Delete(j.events, 0, 1)
	}
}

func (j *job) end(rel release.Release, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if failed := (*deploy.FailedError)(nil); errors.As(err, &failed) {
		rel = failed.Release
	}
	j.release, j.err, j.finished = rel, err, time.Now()
}

// progressPage shows how a job goes, or went.
type progressPage struct {
	place
	Title    string
	Started  time.Time
	Finished time.Time
	Events   []deploy.Event
	Release  release.Release
	Fault    *fault
}

func (s *Site) serveProgress(w http.ResponseWriter, r *http.Request, t deploy.Target) error {
	page := progressPage{place: placeOf(t)}
	if j := s.jobs.of(page.Project + "/" + page.Environment); j != nil {
		j.mu.Lock()
		page.Title, page.Started, page.Finished = j.Title, j.Started, j.finished
		page.Events, page.Release = slices.Clone(j.events), j.release
		if j.err != nil {
			page.Fault = s.fault(j.err)
		}
		j.mu.Unlock()
	}
	s.show(w, r, http.StatusOK, "progress", viewOf(t.Source, t.Environment.Name, "progress", page))
	return nil
}

// Wait returns when what runs has ended, and its outcome is recorded.
func (s *Site) Wait() { s.jobs.work.Wait() }
