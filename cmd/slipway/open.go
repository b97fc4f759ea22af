package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/cluster"
	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/lazyregexp"
	"slipway/internal/project"
	"slipway/internal/project/source"
)

// source reads the project and the state of its repository, and prints all notes about them.
func (a *app) source(ctx context.Context) (project.Source, error) {
	src, err := source.Open(ctx, a.dir)
	a.notes(foldEnvironments(src.Notes))
	return src, err
}

// project reads the project alone, and prints all notes about it.
func (a *app) project() (project.Project, error) {
	p, err := project.Open(a.dir)
	a.notes(foldEnvironments(p.Notes))
	return p, err
}

// projectOf reads the project alone, and prints the notes about the environments that are named.
func (a *app) projectOf(environments ...string) (project.Project, error) {
	p, err := project.Open(a.dir)
	a.notes(notesAbout(p.Notes, environments...))
	return p, err
}

// notesAbout are the notes of detection without those that concern other environments alone, and without what
// detection does not use.
func notesAbout(notes []string, environments ...string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(note string) bool {
		isOne := func(name string) bool {
			return strings.Contains(note, " as environment "+name+" of class ") || namesWord(note, name)
		}
		concernsSome := strings.Contains(note, " as environment ") || strings.Contains(note, " treated as ")
		return strings.HasPrefix(note, "not used: ") ||
			concernsSome && !slices.ContainsFunc(environments, isOne)
	})
}

var environmentNote = lazyregexp.New(`^using .* as environment (\S+) of class (\S+)$`)

// foldEnvironments makes one note of those about many environments.
func foldEnvironments(notes []string) []string {
	const few = 4
	var names, rest []string
	class := ""
	for _, n := range notes {
		m := environmentNote().FindStringSubmatch(n)
		if m == nil {
			rest = append(rest, n)
			continue
		}
		if m[2] != class && class != "" {
			names[len(names)-1] += " (" + class + ")"
		}
		class, names = m[2], append(names, m[1])
	}
	if len(names) <= few {
		return notes
	}
	return append([]string{fmt.Sprintf("using %d environments: %s (%s); run `slipway init --print` to see "+
		"their sources", len(names), strings.Join(names, ", "), class)}, rest...)
}

// namesWord reports whether a name is one of the words of a text.
func namesWord(text, name string) bool {
	isName := func(word string) bool { return strings.Trim(word, ",:") == name }
	return slices.ContainsFunc(strings.Fields(text), isName)
}

// environment reads the source and selects one of its environments.
func (a *app) environment(ctx context.Context, name string) (project.Source, project.Environment, error) {
	src, err := source.Open(ctx, a.dir, a.planFile)
	a.notes(notesAbout(src.Notes, name))
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
	registries := a.registries()
	return func(env project.Environment) (deploy.Target, error) {
		t, err := deploy.Connect(src, env, a.connectOptions())
		t.Registries, t.Render, t.Notify = registries, a.renderOptions("deploy"), a.progress
		return t, err
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

// buildTarget returns a target whose cluster may be missing: a build needs the kubeconfig only to recognise a
// sandbox, whose registry replaces all others.
func (a *app) buildTarget(ctx context.Context, name string) (deploy.Target, error) {
	src, env, err := a.environment(ctx, name)
	if err != nil {
		return deploy.Target{}, err
	}
	t, err := a.connector(src)(env)
	var (
		unnamed *deploy.NoContextError
		unknown *cluster.UnknownContextError
	)
	if a.context == "" && (errors.As(err, &unnamed) || errors.As(err, &unknown)) {
		return deploy.Target{
			Source: src, Environment: env, Render: a.renderOptions("build"),
			Registries: a.registries(), Notify: a.progress,
		}, nil
	}
	return t, err
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
