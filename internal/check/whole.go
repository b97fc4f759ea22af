package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/check/schema"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Options say how to check a whole project. The zero value checks its environments by what it states.
type Options struct {
	// Namespace, where given, is that of every environment.
	Namespace string
	// KubeVersion, where given, is the clusters' instead of what the environments say: "1.34".
	KubeVersion string
	// Schemas are files and directories with CustomResourceDefinitions beside those of the project.
	Schemas []string
	// Fix makes the edits that are certain. The report is then about what they left.
	Fix    bool
	Render render.Options
}

// Checked is what checking a whole project gives.
type Checked struct {
	Report
	// Rules are those that the project was checked by.
	Rules *rule.Set
	// Fixed are the edits that were made, in their order.
	Fixed []finding.Change
}

// Fails reports whether a finding has at least a severity.
func (r Report) Fails(on finding.Severity) bool {
	return slices.ContainsFunc(r.Findings, func(f finding.Finding) bool {
		return f.Severity == finding.Error || on == finding.Warning
	})
}

// Project checks environments with all that belongs to the project: its rules, its workflows, and what it was
// at the last commit. Where it fails, Checked has the edits that were made before.
func Project(
	ctx context.Context, p project.Project, environments []project.Environment, o Options,
) (c Checked, err error) {
	in := Input{Project: p, Environments: slices.Clone(environments), KubeVersion: o.KubeVersion}
	for i := range in.Environments {
		in.Environments[i].Namespace = cmp.Or(o.Namespace, in.Environments[i].Namespace)
	}
	if in.Definitions, err = schema.ReadDefinitions(o.Schemas); err != nil {
		return c, err
	}
	if in.Rules, err = LoadRules(p.Dir, p.Rules); err != nil {
		return c, err
	}
	if in.Past, err = ReadPast(ctx, p.Dir); err != nil {
		return c, err
	}
	c.Rules = in.Rules
	if c.Report, err = runRendering(ctx, in, o.Render); err != nil || !o.Fix {
		return c, err
	}
	if c.Fixed, err = finding.Fix(p.Dir, c.Findings); err != nil {
		return c, err
	}
	c.Report, err = runRendering(ctx, in, o.Render)
	return c, err
}

// runRendering checks with a renderer of the project.
func runRendering(ctx context.Context, in Input, o render.Options) (Report, error) {
	r, err := render.OpenProject(in.Project, o)
	if err != nil {
		return Report{}, err
	}
	defer r.Close()
	in.Renderer, in.Now = r, time.Now()
	return Run(ctx, in)
}

// Manifests returns a project of one environment, "stdin", that holds the manifests which in yields, and a
// function that removes its files.
func Manifests(in io.Reader, class project.Class) (project.Project, func(), error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return project.Project{}, nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		return project.Project{}, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	if err := os.WriteFile(filepath.Join(dir, "stdin.yaml"), text, 0o600); err != nil {
		remove()
		return project.Project{}, nil, err
	}
	return project.Project{Name: "stdin", Dir: dir, Environments: []project.Environment{
		{Name: "stdin", Class: class, Paths: []string{"."}}}}, remove, nil
}

// RulesIn returns the rules of the project that a directory belongs to, and Slipway's alone where it belongs
// to none.
func RulesIn(dir string) ([]finding.Rule, error) {
	p, err := project.Open(dir)
	if errors.Is(err, project.ErrNone) {
		p, err = project.Project{Dir: dir}, nil
	}
	if err != nil {
		return nil, err
	}
	rules, err := LoadRules(p.Dir, p.Rules)
	if err != nil {
		return nil, err
	}
	return rules.Rules(), nil
}

// UnboundError says that policies have no namespace to be bound to.
type UnboundError struct{ Environment string }

func (e *UnboundError) Error() string {
	return fmt.Sprintf("environment %s has no namespace, and policies are bound to one", e.Environment)
}

// Policies returns the rules over one object as admission policies for an environment's namespace, without
// those that it is excepted from on a day. It fails with an *UnboundError where the environment has none.
func Policies(p project.Project, env project.Environment, day time.Time) ([]object.Object, error) {
	if env.Namespace == "" {
		return nil, &UnboundError{Environment: env.Name}
	}
	rules, err := LoadRules(p.Dir, p.Rules)
	if err != nil {
		return nil, err
	}
	return rules.Policies(env.Namespace, env.Class, p.ExceptedRules(env.Name, day)...), nil
}
