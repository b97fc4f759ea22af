// Package check finds what is wrong with a project's environments before they are deployed: it renders
// them, asks every check, and says where each finding is to be mended. It needs no cluster and writes
// nothing.
package check

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/check/rule"
	"slipway/internal/check/workflow"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
	"slipway/internal/render/tree"
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
	// Rules are the rules over one object, the project's own among them; nil: those of Slipway alone.
	Rules *rule.Set
	// Definitions are of custom resources that the environments do not bring along.
	Definitions []object.Object
	// Past is what the project was before; nil: nobody knows.
	Past *Past
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
	reads    tree.Reads
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
	past,
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

// Rules are all that check knows, with those over one object as they were loaded.
func Rules(own *rule.Set) []finding.Rule { return append(rulesOf(groups), own.Rules()...) }

// LoadRules reads the rules over one object, the project's own included.
func LoadRules(dir string, names []string) (*rule.Set, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	var files []rule.File
	for _, name := range names {
		text, err := root.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		files = append(files, rule.File{Name: name, Text: text})
	}
	return rule.Load(files...)
}

func rulesOf(groups []group) []finding.Rule {
	var all []finding.Rule
	for _, g := range groups {
		all = append(all, g.rules...)
	}
	return all
}

// Run checks. An environment that does not render is an error that does not stop the others.
func Run(ctx context.Context, in Input) (Report, error) {
	if in.Rules == nil {
		var err error
		if in.Rules, err = rule.Load(); err != nil {
			return Report{}, err
		}
	}
	return runGroups(ctx, in, append(slices.Clone(groups), group{rules: in.Rules.Rules(), each: checkObjects}))
}

// checkObjects asks the rules over one object.
func checkObjects(r *run, env environment) {
	for _, o := range env.set.Objects() {
		findings, unchecked := r.Rules.Check(o, env.Class)
		for _, f := range findings {
			r.find(f)
		}
		for _, u := range unchecked {
			r.unchecked(u)
		}
	}
}

func runGroups(ctx context.Context, in Input, groups []group) (Report, error) {
	r := &run{
		Input: in, ctx: ctx, view: in.Renderer.View(ctx), rules: map[string]finding.Rule{},
		reports: map[string]*origin.Report{},
		report:  Report{Environments: []string{}, Findings: []finding.Finding{}, Unchecked: []finding.Unchecked{}},
	}
	for _, known := range rulesOf(groups) {
		r.rules[known.ID] = known
	}
	if err := r.exceptionsKnown(); err != nil {
		return r.report, err
	}
	if err := r.render(); err != nil {
		return r.report, err
	}
	for _, g := range groups {
		for _, env := range r.envs {
			if g.each != nil && slices.ContainsFunc(g.rules, func(rule finding.Rule) bool {
				return rule.Holds(env.Class)
			}) {
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
		r.envs = append(r.envs, environment{env, results[i].Set, results[i].Warnings, results[i].Reads})
		r.report.Environments = append(r.report.Environments, env.Name)
	}
	return nil
}
