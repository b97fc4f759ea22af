// Package check finds what is wrong with a project's environments before they are deployed: it renders
// them, asks every check, and says where each finding is to be mended. It needs no cluster and writes
// nothing.
package check

import (
	"context"
	"slices"
	"sync"
	"time"

	"slipway/internal/contract"
	"slipway/internal/finding"
	"slipway/internal/object"
	"slipway/internal/origin"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/tree"
	"slipway/internal/workflow"
)

// Input is what is to be checked.
type Input struct {
	Project project.Project
	// Environments are those that are looked at; the project's others count only where one is compared
	// with another.
	Environments []project.Environment
	Renderer     *render.Renderer
	// KubeVersion, where given, is the clusters' instead of what the environments say.
	KubeVersion string
	// Definitions are of custom resources that the environments do not bring along.
	Definitions []object.Object
	// Now decides which exceptions have expired.
	Now time.Time
}

// Report is what checking gives.
type Report struct {
	// Environments are those that rendered, and were looked at.
	Environments []string `json:"environments"`
	// Findings are in the order in which they should be read: errors first, then by place.
	Findings  []finding.Finding   `json:"findings"`
	Unchecked []finding.Unchecked `json:"unchecked"`
	// Crossings are how production differs from where it was tried out.
	Crossings []contract.Result `json:"crossings,omitempty"`
	// Accepted counts the findings that exceptions leave out.
	Accepted int `json:"accepted"`
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
var groups = []group{
	{rules: projectRules},
	{rules: workflow.Rules, all: checkWorkflows},
	{rules: overrideRules, all: overrides},
	references,
	mustExist,
	images,
	numericTags,
	crossing,
	schemas,
}

// run is one run of the checks.
type run struct {
	Input
	ctx     context.Context
	view    *tree.View // for files beside those that are rendered
	envs    []environment
	current string // the environment that is looked at
	rules   map[string]finding.Rule
	reports map[string]*origin.Report // what overrides do, by environment
	locator locator
	report  Report
}

// find notes a finding. Where the rule is not for an environment's class it is none.
func (r *run) find(f finding.Finding) {
	if r.current != "" && f.Environments == nil {
		f.Environments = []string{r.current}
	}
	if len(f.Environments) > 0 {
		f.Environments = slices.DeleteFunc(slices.Clone(f.Environments), func(name string) bool {
			env, ok := r.named(name)
			rule, known := r.rules[f.Rule]
			return ok && known && !rule.Holds(env.Class)
		})
		if len(f.Environments) == 0 {
			return
		}
	}
	r.report.Findings = append(r.report.Findings, f)
}

func (r *run) named(name string) (project.Environment, bool) {
	i := slices.IndexFunc(r.Environments, func(e project.Environment) bool { return e.Name == name })
	if i < 0 {
		return project.Environment{}, false
	}
	return r.Environments[i], true
}

func (r *run) unchecked(u finding.Unchecked) {
	if r.current != "" && u.Environments == nil {
		u.Environments = []string{r.current}
	}
	r.report.Unchecked = append(r.report.Unchecked, u)
}

// Rules are all that check knows, those of the project apart.
func Rules() []finding.Rule { return rulesOf(groups) }

func rulesOf(groups []group) []finding.Rule {
	var all []finding.Rule
	for _, g := range groups {
		all = append(all, g.rules...)
	}
	return all
}

// Run checks. An environment that does not render is an error that does not stop the others.
func Run(ctx context.Context, in Input) (Report, error) { return runGroups(ctx, in, groups) }

func runGroups(ctx context.Context, in Input, groups []group) (Report, error) {
	r := &run{
		Input: in, ctx: ctx, view: in.Renderer.View(ctx), rules: map[string]finding.Rule{},
		reports: map[string]*origin.Report{},
		report:  Report{Environments: []string{}, Findings: []finding.Finding{}, Unchecked: []finding.Unchecked{}},
	}
	for _, rule := range rulesOf(groups) {
		r.rules[rule.ID] = rule
	}
	if err := r.exceptionsKnown(); err != nil {
		return r.report, err
	}
	if err := r.render(); err != nil {
		return r.report, err
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
	r.locator = locator{view: r.view, envs: r.envs, files: map[string][]document{}, place: r.overridden}
	r.compare()
	r.accept()
	r.finish()
	return r.report, ctx.Err()
}

// render renders all environments, two at a time: each may need much memory.
func (r *run) render() error {
	results, errs := make([]render.Result, len(r.Environments)), make([]error, len(r.Environments))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i, env := range r.Environments {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i], errs[i] = r.Renderer.Render(r.ctx, env)
		})
	}
	wg.Wait()
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	for i, env := range r.Environments {
		if errs[i] != nil {
			r.broken(env, errs[i])
			continue
		}
		r.envs = append(r.envs, environment{env, results[i].Set, results[i].Warnings})
		r.report.Environments = append(r.report.Environments, env.Name)
	}
	return nil
}
