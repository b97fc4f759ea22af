package agent

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"slipway/internal/deploy"
	"slipway/internal/image"
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

// close gives the files of the commit back.
func (c *checkout) close() {
	if c != nil && c.remove != nil {
		c.remove()
	}
}

// keyOf is the key of the files that the objects of the commit were made from, so that a later commit with
// the same is not rendered. It is empty where they depend on more than files: on the commit itself, or on the
// cluster.
func (c checkout) keyOf(p deploy.Proposal) string {
	src := c.target.Source
	isOfCommit := func(pin image.Pin) bool { return pin.Tag == src.Tag }
	asksCluster := func(c project.Chart) bool { return c.Lookup }
	if src.Bundled || slices.ContainsFunc(p.Prepared.Images, isOfCommit) ||
		slices.ContainsFunc(c.target.Environment.Charts, asksCluster) {
		return ""
	}
	return c.files.key(src.Path, *c.reads)
}

// connect reaches the environment of a commit.
func (e entry) connect(src project.Source) (deploy.Target, error) {
	env, err := src.Project.Environment(e.name)
	if err != nil {
		return deploy.Target{}, fmt.Errorf("%w: its objects stay. If it was removed on purpose, "+
			"remove %s from the agent's configuration; `slipway delete %s` at an earlier commit deletes its objects",
			err, e.name, e.name)
	}
	o := e.agent.options.Connect
	o.Context, o.Account = e.policy.Context, e.policy.ServiceAccount
	o.Namespace = cmp.Or(e.policy.Namespace, o.Namespace)
	t, err := deploy.Connect(src, env, o)
	t.Render = e.agent.options.Render
	return t, err
}
