package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// checkout is a commit as it was read, ready to be deployed.
type checkout struct {
	commit string
	seen   time.Time
	target deploy.Target
	remove func()
	files  *snapshot
	reads  *[]tree.Read // what the last render looked at
}

// prepare reads a commit.
func (e *environment) prepare(ctx context.Context, commit string) (*checkout, error) {
	e.update(func(s *Status) { s.Seen = commit })
	if err := e.trust(ctx, commit); err != nil {
		return nil, err
	}
	src, files, err := e.mirror.at(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	remove := func() { e.mirror.remote.give(files) }
	t, err := e.connect(src)
	if err != nil {
		remove()
		return nil, fmt.Errorf("read commit %s: %w", short(commit), err)
	}
	reads := new([]tree.Read)
	t.Notify = func(ev deploy.Event) {
		e.log.Debug(ev.Message, "step", ev.Step)
		if ev.Step == deploy.Watch {
			e.giveWay()
		}
	}
	t.Isolate = e.isolate(files, reads)
	return &checkout{commit, time.Now(), t, remove, files, reads}, nil
}

// adopt makes a commit the one to deploy.
func (e *environment) adopt(c *checkout) {
	if e.remove != nil {
		e.remove()
	}
	if e.target.Cluster == nil || !c.target.Cluster.Shares(e.target.Cluster) ||
		c.target.Records().Selector() != e.target.Records().Selector() {
		e.stopTracking() // another connection, or other records
	}
	e.checkout, e.key, e.failures = *c, "", 0
	e.turnTo(c.commit, c.target)
	e.wanted, e.next = "", nil
	e.looked, e.holder, e.fights.ended = false, 0, nil
	e.admitted, e.opens = time.Time{}, time.Time{}
}

// connect reaches the environment of a commit.
func (e entry) connect(src project.Source) (deploy.Target, error) {
	env, err := src.Project.Environment(e.name)
	if err != nil {
		return deploy.Target{}, fmt.Errorf("%w: what runs there stays. Where it was removed on purpose, "+
			"take %s out of the agent's configuration; `slipway delete %s` at an earlier commit deletes its objects",
			err, e.name, e.name)
	}
	o := e.agent.options.Connect
	o.Context, o.Account = e.policy.Context, e.policy.ServiceAccount
	o.Namespace = cmp.Or(e.policy.Namespace, o.Namespace)
	t, err := deploy.Connect(src, env, o)
	t.Render = e.agent.options.Render
	return t, err
}
