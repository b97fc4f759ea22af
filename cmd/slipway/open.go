package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/spf13/cobra"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/project"
)

// noContextError says that nothing names the cluster of an environment.
type noContextError struct {
	Environment string
	Known       []string
}

func (e *noContextError) Error() string {
	return fmt.Sprintf("environment %s names no kubeconfig context, and there is none called %q", e.Environment, e.Environment)
}

// source reads the project, and what Git says about its state.
func (a *app) source(ctx context.Context) (project.Source, error) {
	p, err := project.Open(a.dir)
	if err != nil {
		return project.Source{}, err
	}
	for _, n := range p.Notes {
		a.warn("note: %s", n)
	}
	repository, err := git.Open(ctx, p.Dir)
	if errors.Is(err, git.ErrNone) {
		a.warn("note: %s is in no Git repository: no commit names what is deployed, and no image can be built", p.Dir)
		return project.Source{Project: p, Dirty: true}, nil
	} else if err != nil {
		return project.Source{}, err
	}
	state, err := repository.State(ctx)
	if err != nil {
		return project.Source{}, err
	}
	recent, err := recentTags(ctx, repository, p, state)
	if err != nil {
		return project.Source{}, err
	}
	return project.Source{
		Project: p, Recent: recent, Commit: state.Commit, Tag: tag(state), Dirty: state.Dirty, Changed: state.Changed,
		Versions: versions(state), Remote: state.Remote, Time: state.Time.Unix(),
	}, nil
}

// recentTags are for images that keep a cache in themselves; nobody else pays for asking.
func recentTags(ctx context.Context, repository git.Repository, p project.Project, s git.State) ([]string, error) {
	const commits = 5
	if s.Commit == "" || !slices.ContainsFunc(p.Images, func(i project.Image) bool { return i.Cache.Inline }) {
		return nil, nil
	}
	hashes, err := repository.Recent(ctx, s.Commit, commits)
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, h := range hashes {
		tags = append(tags, "sha-"+h[:7])
	}
	return tags, nil
}

// tag is the image tag that a state earns; a dirty tree's content is part of it.
func tag(s git.State) string {
	switch {
	case s.Commit == "":
		return ""
	case s.Dirty:
		return "sha-" + s.Short + "-" + s.Fingerprint
	}
	return "sha-" + s.Short
}

// versions are the releases that a commit is tagged as, without the v. An image tag has no place for
// a "+" and what follows it.
func versions(s git.State) []string {
	var versions []string
	for _, t := range s.Tags {
		v, err := semver.StrictNewVersion(strings.TrimPrefix(t, "v"))
		if err == nil && v.Metadata() == "" && !s.Dirty {
			versions = append(versions, v.String())
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// environment is the project with one of its environments.
func (a *app) environment(ctx context.Context, name string) (project.Source, project.Environment, error) {
	src, err := a.source(ctx)
	if err != nil {
		return src, project.Environment{}, err
	}
	env, err := src.Project.Environment(name)
	return src, env, err
}

// target is one environment of the project with its cluster, which has not been asked anything yet.
func (a *app) target(ctx context.Context, name string) (deploy.Target, error) {
	src, env, err := a.environment(ctx, name)
	if err != nil {
		return deploy.Target{}, err
	}
	return a.targetOf(src, env)
}

func (a *app) targetOf(src project.Source, env project.Environment) (deploy.Target, error) {
	c, err := a.cluster(&env)
	if err != nil {
		return deploy.Target{}, err
	}
	return deploy.Target{Source: src, Environment: env, Cluster: c, Render: a.renderOptions("deploy"), Notify: a.progress}, nil
}

// cluster opens the environment's context: the flag's, its own, or the one called like it. Never
// the kubeconfig's current one, which is wherever somebody last worked.
func (a *app) cluster(env *project.Environment) (*cluster.Cluster, error) {
	if a.namespace != "" {
		env.Namespace = a.namespace
	}
	if a.context != "" {
		env.Context = a.context
	}
	if env.Context == "" {
		known, err := cluster.Contexts(a.kubeconfig)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(known, env.Name) {
			return nil, &noContextError{Environment: env.Name, Known: known}
		}
		env.Context = env.Name
	}
	return cluster.Open(cluster.Options{
		Kubeconfig: a.kubeconfig, Context: env.Context, Namespace: env.Namespace,
		Warn: func(text string) { a.warn("warning: %s (says the API server)", text) },
	})
}

// who names the person or the run that acts, for the record.
func who() string {
	if actor := cmp.Or(os.Getenv("GITHUB_ACTOR"), os.Getenv("GITLAB_USER_LOGIN")); actor != "" {
		return actor + " (CI)"
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// named takes one argument for each name.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):], " and "))
		case len(args) > len(names):
			return fmt.Errorf("%s does not know what %q is", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// envArgs takes ENV and up to more arguments; without any it says which environments there are.
func (a *app) envArgs(more int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			known := ""
			if p, err := project.Open(a.dir); err == nil && len(p.Environments) > 0 {
				var names []string
				for _, e := range p.Environments {
					names = append(names, e.Name)
				}
				known = ": " + strings.Join(names, ", ")
			}
			return fmt.Errorf("%s needs the name of an environment%s", cmd.CommandPath(), known)
		case len(args) > 1+more:
			return fmt.Errorf("%s takes one environment, and does not know what %q is", cmd.CommandPath(), args[1+more])
		}
		return nil
	}
}
