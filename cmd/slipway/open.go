package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/project/source"
)

// source reads the project and the state of its repository, and prints all notes about them.
func (a *app) source(ctx context.Context) (project.Source, error) {
	src, err := source.Open(ctx, a.dir)
	a.notes(project.FoldNotes(src.Notes))
	return src, err
}

// project reads the project alone, and prints all notes about it.
func (a *app) project() (project.Project, error) {
	p, err := project.Open(a.dir)
	a.notes(project.FoldNotes(p.Notes))
	return p, err
}

// projectOf reads the project alone, and prints the notes about the environments that are named.
func (a *app) projectOf(environments ...string) (project.Project, error) {
	p, err := project.Open(a.dir)
	a.notes(project.NotesAbout(p.Notes, environments...))
	return p, err
}

// environment reads the source and selects one of its environments.
func (a *app) environment(ctx context.Context, name string) (project.Source, project.Environment, error) {
	src, err := source.Open(ctx, a.dir, a.planFile)
	a.notes(project.NotesAbout(src.Notes, name))
	if err != nil {
		return src, project.Environment{}, err
	}
	env, err := src.Project.Environment(name)
	return src, env, err
}

// target returns an environment with its cluster. It sends nothing over the network.
func (a *app) target(ctx context.Context, name string) (deploy.Target, error) {
	src, env, err := a.environment(ctx, name)
	if err != nil {
		return deploy.Target{}, err
	}
	return a.connector(src)(env)
}

// connector connects to the environments of a source, with the flags' options.
func (a *app) connector(src project.Source) func(project.Environment) (deploy.Target, error) {
	a.registries() // before several environments are connected at once
	return func(env project.Environment) (deploy.Target, error) {
		t, err := deploy.Connect(src, env, a.connectOptions())
		return a.complete(t, "deploy"), err
	}
}

// registries is the client of this run, which fetches each manifest once.
func (a *app) registries() *image.Client {
	if a.client == nil {
		a.client = image.NewClient(func(text string) {
			a.progress(deploy.Event{Step: deploy.Image, Message: text})
		})
	}
	return a.client
}

func (a *app) connectOptions() deploy.ConnectOptions {
	return deploy.ConnectOptions{
		Kubeconfig: a.kubeconfig, Context: a.context, Namespace: a.namespace,
		Warn: func(text string) { a.warn("warning: the API server: %s", text) },
	}
}

// buildTarget returns a target to build for, whose cluster may be missing.
func (a *app) buildTarget(ctx context.Context, name string) (deploy.Target, error) {
	src, env, err := a.environment(ctx, name)
	if err != nil {
		return deploy.Target{}, err
	}
	t, err := deploy.ConnectToBuild(src, env, a.connectOptions())
	if t.Cluster == nil {
		return a.complete(t, "build"), err
	}
	return a.complete(t, "deploy"), err
}

// complete adds to a target what all targets of a run share.
func (a *app) complete(t deploy.Target, command string) deploy.Target {
	t.Registries, t.Render, t.Notify = a.registries(), a.renderOptions(command), a.progress
	return t
}

// named accepts one argument for each name.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):], " and "))
		case len(args) > len(names):
			return fmt.Errorf("%s: unexpected argument %q", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}

// envArgs accepts ENV and up to more further arguments. Its error lists the environments.
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
			return fmt.Errorf("%s takes one environment: unexpected argument %q", cmd.CommandPath(), args[1+more])
		}
		return nil
	}
}
