// Package agent keeps environments equal to Git: it polls repositories, deploys new commits by the path that
// the CLI takes, sets back what was changed in the cluster, and holds back what was bad. Its memory is the
// record of each environment; it keeps no other state that matters.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"slipway/internal/agent/child"
	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/gctune"
	"slipway/internal/render"
)

// who is the agent in records.
const who = "slipway agent"

// Options are what an agent needs beside its configuration.
type Options struct {
	// Connect is how clusters are reached. Each environment has a context of its own.
	Connect deploy.ConnectOptions
	Render  render.Options
	Log     *slog.Logger
	// Hint says what to do about an error, for the web UI; it may return "".
	Hint func(error) string
	// Describe is a plan in Markdown, or why there is none, for comments on pull requests.
	Describe func(context.Context, deploy.Target, deploy.Proposal, error) string
}

// Agent keeps the environments of a configuration.
type Agent struct {
	config     Config
	options    Options
	counters   *counters
	leadership leadership
	children   *child.Pool
	hooks      *hooks
	couriers   []*courier
	queue      queue
	// recent is how old a plan may be that is carried out without another look at the objects.
	recent time.Duration

	// base ends with the agent.
	base context.Context

	mu sync.Mutex
	// follows are those of the present term, in the order of the configuration. A replica that stands by has
	// them too.
	follows []*follower
}

// follower is one entry of the configuration.
type follower struct {
	mirror       *mirror
	environments []*environment
	offered      string // the commit that the environments were told of last; of the goroutine that polls

	mu       sync.Mutex
	polled   bool // once at least
	lastFail string
}

// New prepares an agent.
func New(c Config, o Options) *Agent {
	children := &child.Pool{Memory: int64(c.Limits.RenderMemory), Time: time.Duration(c.Limits.RenderTime)}
	a := &Agent{config: c, options: o, counters: newCounters(), children: children, hooks: newHooks(),
		recent: recentTime, couriers: newCouriers(c.Notifications, o.Log)}
	a.options.Connect.Count, a.options.Connect.Shared = a.countRequest, &cluster.Connections{}
	return a
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
	a.base = ctx
	server, err := a.listen(ctx)
	if err != nil {
		return err
	}
	err = a.lead(ctx, server.address, func(ctx context.Context) { a.work(ctx, a.build(state)) })
	server.ui.close()
	return errors.Join(err, server.stop(ctx))
}

// build makes the followers of one term of this replica: a term begins with no memory of an earlier one.
// Entries of the same repository share it.
func (a *Agent) build(state string) []*follower {
	var all []*follower
	known := map[string]*remote{}
	for _, r := range a.config.Repositories {
		is := known[sameRepository(r.URL)]
		if is == nil {
			is = newRemote(r, state, a.children)
			is.clone.maxSize = int64(a.config.Limits.CloneSize)
			known[sameRepository(r.URL)] = is
		}
		if r.Credentials != nil {
			is.clone.access = accessTo(r)
		}
		f := &follower{mirror: newMirror(r, is)}
		for _, name := range slices.Sorted(maps.Keys(r.Environments)) {
			is := entry{name, r.Environments[name], f.mirror, a}
			f.environments = append(f.environments, newEnvironment(is))
		}
		is.followers, all = append(is.followers, f), append(all, f)
	}
	return all
}

// work follows the repositories until the context ends.
func (a *Agent) work(ctx context.Context, follows []*follower) {
	a.setFollowers(follows)
	ctx = cluster.WithFence(ctx, a.leadership.fence)
	var work sync.WaitGroup
	work.Go(func() { returnMemory(ctx) })
	for _, c := range a.couriers {
		work.Go(func() { c.deliver(ctx) })
	}
	for _, f := range follows {
		for _, e := range f.environments {
			work.Go(func() { e.report(ctx) })
			work.Go(func() {
				e.keep(ctx)
				e.admission.giveUp(ctx)
			})
		}
	}
	for _, f := range follows {
		if p := newPulls(a, f); p != nil {
			work.Go(func() { p.follow(ctx) })
		}
	}
	var polled []*remote
	for _, f := range follows {
		if r := f.mirror.remote; !slices.Contains(polled, r) {
			polled = append(polled, r)
			work.Go(func() { r.follow(ctx, a) })
		}
	}
	work.Wait()
}

// returnEvery is how often unused memory is returned to the system.
const returnEvery = 30 * time.Second

// returnMemory returns what a deploy needed and an agent at rest does not.
func returnMemory(ctx context.Context) {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			gctune.Return()
		}
	}
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

// Statuses returns how all environments stand, in the order of the repositories.
func (a *Agent) Statuses() []Status {
	all := []Status{}
	leader, leads := a.leadership.current()
	for _, f := range a.followers() {
		for _, e := range f.environments {
			s := e.Status()
			if s.Leader = leader; !leads {
				s.Message = "another replica is the leader: ask that one"
			}
			all = append(all, s)
		}
	}
	return all
}
