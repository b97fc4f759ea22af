package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"slipway/internal/project"
	"slipway/internal/render/tree"
)

// openCommits are the commits that pages are about: those that the environments have taken. Any goroutine may
// use them.
type openCommits struct {
	agent *Agent

	mu   sync.Mutex
	open map[commitKey]*openCommit
}

type commitKey struct {
	mirror *mirror
	commit string
}

type openCommit struct {
	source  project.Source
	files   *snapshot
	scripts []tree.Read
	used    time.Time
}

// idleCommit is how long the files of a commit are kept that no page asks for any more.
const idleCommit = 10 * time.Minute

// sources returns the projects of all repositories, with those environments that the agent keeps.
func (c *openCommits) sources(ctx context.Context) ([]project.Source, error) {
	var all []project.Source
	var failed []error
	for _, f := range c.agent.followers() {
		for _, e := range f.environments {
			src, err := c.sourceOf(ctx, e)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			all = merge(all, src, e.name)
		}
	}
	return all, errors.Join(failed...)
}

// merge adds one environment of a source to the sources. Entries of the configuration may be of one project.
func merge(all []project.Source, src project.Source, environment string) []project.Source {
	i := slices.IndexFunc(all, func(o project.Source) bool { return o.Project.Name == src.Project.Name })
	if i < 0 {
		i, all = len(all), append(all, src)
		all[i].Project.Environments = nil
	}
	p := &all[i].Project
	isIt := func(e project.Environment) bool { return e.Name == environment }
	known := append(slices.Clone(p.Environments), keep(src.Project.Environments, isIt)...)
	// In the order of the project, whatever that of the configuration is.
	var sorted []project.Environment
	for _, e := range src.Project.Environments {
		sorted = append(sorted, keep(known, func(o project.Environment) bool { return o.Name == e.Name })...)
	}
	p.Environments = append(sorted, keep(known, func(o project.Environment) bool {
		return !slices.ContainsFunc(sorted, func(s project.Environment) bool { return s.Name == o.Name })
	})...)
	return all
}

func keep[T any](all []T, is func(T) bool) (kept []T) {
	for _, v := range all {
		if is(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// errUnread says that the agent has not read an environment yet.
var errUnread = errors.New("the agent has read no commit of it yet")

// sourceOf returns the project as the commit has it that an environment has taken.
func (c *openCommits) sourceOf(ctx context.Context, e *environment) (project.Source, error) {
	o, err := c.at(ctx, e)
	if err != nil {
		return project.Source{}, fmt.Errorf("environment %s of %s: %w", e.name, e.mirror, err)
	}
	return o.source, nil
}

// at opens the commit that an environment has taken: one that may be deployed.
func (c *openCommits) at(ctx context.Context, e *environment) (*openCommit, error) {
	is := e.Status()
	if is.taken == "" {
		if is.SourceError != "" {
			return nil, errors.New(is.SourceError)
		}
		return nil, errUnread
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clean()
	key := commitKey{e.mirror, is.taken}
	o := c.open[key]
	if o == nil {
		src, files, err := e.mirror.at(context.WithoutCancel(ctx), is.taken)
		if err != nil {
			return nil, err
		}
		o = &openCommit{source: src, files: files, scripts: scriptsOf(files, src.Path)}
		c.open[key] = o
	}
	o.used = time.Now()
	return o, nil
}

// clean gives back the files that no page asks for any more.
func (c *openCommits) clean() {
	for key, o := range c.open {
		if time.Since(o.used) > idleCommit {
			key.mirror.remote.give(o.files)
			delete(c.open, key)
		}
	}
}

// close gives all files back.
func (c *openCommits) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, o := range c.open {
		key.mirror.remote.give(o.files)
	}
	clear(c.open)
}

// find returns the environment of a project.
func (c *openCommits) find(ctx context.Context, projectName, name string) (*environment, *openCommit, error) {
	err := error(&project.UnknownEnvironmentError{Name: name})
	for _, f := range c.agent.followers() {
		for _, e := range f.environments {
			if e.name != name {
				continue
			}
			o, failed := c.at(ctx, e)
			if failed != nil {
				err = failed
			} else if o.source.Project.Name == projectName {
				return e, o, nil
			}
		}
	}
	return nil, nil, err
}
