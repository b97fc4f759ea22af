// Package check finds what is wrong with a project's environments before they are deployed: it renders
// them, asks every check, and says where each finding is to be mended. It needs no cluster and writes
// nothing.
package check

import (
	"context"
	"slices"

	"slipway/internal/finding"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/tree"
)

// Input is what is to be checked.
type Input struct {
	Project project.Project
	// Environments are those that are looked at; the project's others count only where one is compared
	// with another.
	Environments []project.Environment
	Renderer     *render.Renderer
}

// Report is what checking gives.
type Report struct {
	Findings  []finding.Finding   `json:"findings"`
	Unchecked []finding.Unchecked `json:"unchecked"`
}

// environment is one that was rendered.
type environment struct {
	project.Environment
	set      object.Set
	warnings []string
}

// group is a list of rules with what finds where they are broken.
type group struct {
	rules []finding.Rule
	// each looks at an environment by itself, all at the environments together and the project's files.
	each func(*run, environment)
	all  func(*run)
}

// groups are all checks, in the order in which they are made.
var groups = []group{}

// run is one run of the checks.
type run struct {
	Input
	ctx     context.Context
	view    *tree.View // for files beside those that are rendered
	envs    []environment
	current string // the environment that is looked at
	report  Report
}

// find notes a finding. Where the rule is not for an environment's class it is none.
func (r *run) find(f finding.Finding) {
	if r.current != "" && f.Environments == nil {
		f.Environments = []string{r.current}
	}
	r.report.Findings = append(r.report.Findings, f)
}

func (r *run) unchecked(u finding.Unchecked) {
	if r.current != "" && u.Environments == nil {
		u.Environments = []string{r.current}
	}
	r.report.Unchecked = append(r.report.Unchecked, u)
}

// Rules are all that check knows, those of the project apart.
func Rules() []finding.Rule {
	var all []finding.Rule
	for _, g := range groups {
		all = append(all, g.rules...)
	}
	return all
}

// Run checks. An environment that does not render is an error that does not stop the others.
func Run(ctx context.Context, in Input) (Report, error) {
	r := &run{Input: in, ctx: ctx}
	for _, env := range in.Environments {
		result, err := in.Renderer.Render(ctx, env)
		if err != nil {
			return r.report, err
		}
		r.envs = append(r.envs, environment{env, result.Set, result.Warnings})
	}
	for _, g := range groups {
		for _, env := range r.envs {
			if g.each != nil && slices.ContainsFunc(g.rules, func(rule finding.Rule) bool { return rule.Holds(env.Class) }) {
				r.current = env.Name
				g.each(r, env)
			}
		}
		r.current = ""
		if g.all != nil {
			g.all(r)
		}
	}
	return r.report, nil
}
