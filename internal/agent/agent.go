// Package agent keeps environments equal to Git: it polls repositories, deploys new commits by the path that
// the CLI takes, sets back what was changed in the cluster, and holds back what was bad. Its memory is the
// record of each environment; it keeps no other state that matters.
package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/render"
)

// Options are what an agent needs beside its configuration.
type Options struct {
	// Connect is how clusters are reached. Each environment has a context of its own.
	Connect deploy.ConnectOptions
	Render  render.Options
	Log     *slog.Logger
}

// Agent keeps the environments of a configuration.
type Agent struct {
	config     Config
	options    Options
	counters   *counters
	leadership leadership

	mu      sync.Mutex
	follows []*follower // of the present term, as a replica that stands by has them too
}

// follower polls one repository.
type follower struct {
	mirror       *mirror
	environments []*environment
	poke         chan struct{} // asks for a poll now

	mu       sync.Mutex
	polled   bool // once at least
	lastFail string
}

// New prepares an agent.
func New(c Config, o Options) *Agent {
	return &Agent{config: c, options: o, counters: newCounters()}
}

// Run keeps the environments until the context ends. It fails where it cannot begin.
func (a *Agent) Run(ctx context.Context) error {
	state := a.config.State
	if state == "" {
		temporary, err := os.MkdirTemp("", "slipway-agent-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		state = temporary
	}
	a.setFollowers(a.build(state))
	server, err := a.listen()
	if err != nil {
		return err
	}
	err = a.lead(ctx, func(ctx context.Context) { a.work(ctx, a.build(state)) })
	return errors.Join(err, server.stop(ctx))
}

// build makes the followers of one term of this replica: a term begins with no memory of an earlier one.
func (a *Agent) build(state string) []*follower {
	var all []*follower
	for _, r := range a.config.Repositories {
		// Another address is another clone, also where the state is kept from run to run.
		sum := sha256.Sum256([]byte(r.URL + " " + r.Branch))
		f := &follower{
			mirror: newMirror(r, filepath.Join(state, hex.EncodeToString(sum[:8]))), poke: make(chan struct{}, 1),
		}
		for _, name := range slices.Sorted(maps.Keys(r.Environments)) {
			f.environments = append(f.environments, &environment{
				name: name, policy: r.Environments[name], mirror: f.mirror, agent: a, wake: make(chan string, 1),
				log: a.options.Log.With("environment", name), repairs: map[string][]time.Time{},
				status: Status{Environment: name, Repository: f.mirror.String(), Verdict: Unknown},
			})
		}
		all = append(all, f)
	}
	return all
}

// work follows the repositories until the context ends.
func (a *Agent) work(ctx context.Context, follows []*follower) {
	a.setFollowers(follows)
	ctx = cluster.WithFence(ctx, a.leadership.fence)
	var work sync.WaitGroup
	for _, f := range follows {
		for _, e := range f.environments {
			work.Go(func() {
				e.keep(ctx)
				e.leave(ctx)
			})
		}
		work.Go(func() { f.follow(ctx, a) })
	}
	work.Wait()
}

func (a *Agent) setFollowers(all []*follower) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follows = all
}

func (a *Agent) followers() []*follower {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.follows
}

// follow polls the repository until the context ends.
func (f *follower) follow(ctx context.Context, a *Agent) {
	known, failures := "", 0
	for {
		commit, err := f.mirror.poll(ctx, known)
		a.counters.update(func(c *counters) { c.gitQueries[f.mirror.String()]++ })
		if ctx.Err() != nil {
			return
		}
		f.note(err, a.options.Log)
		if failures++; err == nil {
			failures = 0
		}
		if err == nil && commit != known {
			known = commit
			for _, e := range f.environments {
				e.offer(commit)
			}
		}
		wait := time.NewTimer(backoff(f.mirror.Interval, failures))
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-f.poke:
		}
		wait.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// note says once what a poll failed with.
func (f *follower) note(err error, log *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polled = f.polled || err == nil
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != f.lastFail && text != "" {
		log.Error("poll "+f.mirror.String()+": "+text, "environments", "keep what they run")
	}
	f.lastFail = text
}

// offer hands a commit to an environment, in place of one that it has not taken.
func (e *environment) offer(commit string) {
	select {
	case <-e.wake:
	default:
	}
	e.wake <- commit
}

// Statuses returns how all environments stand, in the order of the repositories.
func (a *Agent) Statuses() []Status {
	all := []Status{}
	leader, leads := a.leadership.current()
	for _, f := range a.followers() {
		for _, e := range f.environments {
			s := e.Status()
			if s.Leader = leader; !leads {
				s.Message = "another replica acts: ask that one"
			}
			all = append(all, s)
		}
	}
	return all
}
