// Package check finds what is wrong with a project's environments before they are deployed: it renders
// them, or takes them as the caller rendered them, asks every check, and gives each finding the line to
// correct. It contacts no cluster and writes nothing.
package check

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/check/rule"
	"slipway/internal/check/workflow"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

// Input is what is to be checked.
type Input struct {
	Project project.Project
	// Environments are those that Run renders and checks; the project's others count only where one is
	// compared with another.
	Environments []project.Environment
	// Renderer reads the project. Objects works without one: findings then have the place of their object.
	Renderer *render.Renderer
	// KubeVersion, where given, is the clusters' instead of what the environments say.
	KubeVersion string
	// Rules are all rules, the project's own among them; nil: those of Slipway alone.
	Rules *rule.Set
	// Definitions are of custom resources that the environments do not bring along.
	Definitions []object.Object
	// Past is what the project was before; nil: unknown.
	Past *Past
	// Now decides which exceptions have expired.
	Now time.Time
}

// Rendered is one environment as it was rendered.
type Rendered struct {
	Environment project.Environment
	render.Result

	leftOut []LeftOut
}

// Report is what checking gives.
type Report struct {
	// Environments are those that rendered, and were checked.
	Environments []string `json:"environments"`
	// Others are those of Environments that were found beside the project's: only check accepts their names.
	Others []string `json:"others,omitempty"`
	// NotRendered are those that were to be checked and did not render: of them nothing was checked.
	NotRendered []string `json:"notRendered,omitempty"`
	// LeftOut are missing files without which environments were rendered and checked.
	LeftOut []LeftOut `json:"leftOut,omitempty"`
	// Findings are in the order in which they should be read: errors first, then by place.
	Findings  []finding.Finding   `json:"findings"`
	Unchecked []finding.Unchecked `json:"unchecked"`
	// Crossings are how production differs from where it was tried out.
	Crossings []contract.Result `json:"crossings,omitempty"`
	// Notes are what rendering warned of beside the findings, each once: parts of the source that it skips.
	Notes []string `json:"notes,omitempty"`
	// Accepted counts the findings that exceptions leave out.
	Accepted int `json:"accepted"`
}

// Own are the environments that were checked and are the project's: other verbs accept their names.
func (r Report) Own() []string {
	return slices.DeleteFunc(slices.Clone(r.Environments), func(name string) bool {
		return slices.Contains(r.Others, name)
	})
}

// Outcome is what was found, with all that was not checked.
func (r Report) Outcome() finding.Outcome {
	o := finding.Outcome{Findings: r.Findings, Unchecked: r.Unchecked}
	for _, l := range r.LeftOut {
		o.Unchecked = append(o.Unchecked, finding.Unchecked{Environments: l.Environments, What: l.What,
			Why: "not rendered: " + l.Why()})
	}
	return o
}

// subject is what the checks read.
type subject struct {
	Input
	files
	envs []*environment
	// partial: some checks are left to Run.
	partial bool
	// read are the workflows, and unread what could not be read of them; pipelines fills both.
	read   *workflow.Pipelines
	unread found
	// replaced are what changes manifests before they are deployed; replacements fills it.
	replaced []workflow.Replacement
}

// found is what a check reports. Findings without an environment are about the one that was checked.
type found struct {
	findings  []finding.Finding
	unchecked []finding.Unchecked
	// origins are what overrides do, by environment: the places of other findings come from there.
	origins map[string]*origin.Report
}

// group is one check: of each environment by itself, or of all and the project's files.
type group struct {
	each func(*subject, *environment) found
	all  func(context.Context, *subject) found
}

// ofObjects are the checks of rendered sets, ofProject those that render again or read other files.
var (
	ofObjects = []group{
		{each: references}, {each: availability}, {each: images}, {each: unbuilt}, {each: numericTags},
		{each: respelled}, {each: duplicates}, {each: resets}, {each: losses},
		{each: selectors}, {each: schemas}, {each: objectRules},
	}
	ofProject = []group{{all: workflows}, {all: overrides}, {all: past}, {all: laptop}}
)

// LoadRules reads Slipway's rules and those of the project's files.
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

// Run renders the environments and checks everything. An environment that does not render is a finding that
// does not stop the others.
func Run(ctx context.Context, in Input) (Report, error) {
	return runGroups(ctx, in, append(slices.Clone(ofProject), ofObjects...))
}

// Objects checks sets that the caller has rendered. It renders nothing: overrides, workflows and earlier
// commits are Run's.
func Objects(ctx context.Context, in Input, rendered []Rendered) (Report, error) {
	return examine(ctx, &subject{Input: in, partial: true}, rendered, found{}, ofObjects)
}

// Deployment checks one environment as the caller rendered it for a deploy: by all rules but those about
// workflows and about earlier commits. It renders again only where there is an error, for its place, and
// where an override seems to be without an effect; override-dead, a warning, is left to Run. The caller's
// environment stands for the project's, because the cluster may have decided its namespace and version.
func Deployment(ctx context.Context, in Input, r Rendered) (Report, error) {
	in.Environments = []project.Environment{r.Environment}
	in.Project.Environments = slices.Clone(in.Project.Environments)
	for i, env := range in.Project.Environments {
		if env.Name == r.Environment.Name {
			in.Project.Environments[i] = r.Environment
		}
	}
	s := &subject{Input: in, partial: true}
	report, err := examine(ctx, s, []Rendered{r}, found{}, ofObjects)
	if err != nil {
		return report, err
	}
	isError := func(f finding.Finding) bool { return f.Severity == finding.Error }
	more := group{all: overrides} // which asks the project's other environments whether they use an override
	if !isSuspect(ctx, s, r.Environment) {
		if !slices.ContainsFunc(report.Findings, isError) {
			return report, ctx.Err()
		}
		more.all = effects
	}
	groups := append(slices.Clone(ofObjects), more)
	return examine(ctx, &subject{Input: in, partial: true}, []Rendered{r}, found{}, groups)
}

// isSuspect reports whether an override of an environment that was rendered may be an error.
func isSuspect(ctx context.Context, s *subject, env project.Environment) bool {
	a, err := tryOverrides(ctx, s, env, origin.Options{Suspects: true, Budget: overrideTime})
	return err != nil || len(a.idle)+len(a.report.NotTried) > 0
}

func runGroups(ctx context.Context, in Input, groups []group) (Report, error) {
	results, errs, err := renderAll(ctx, in)
	if err != nil {
		return Report{}, err
	}
	leftOut, renderer, err := renderWithout(ctx, in, results, errs)
	if renderer != in.Renderer {
		defer renderer.Close()
		in.Renderer = renderer
	}
	if err != nil {
		return Report{}, err
	}
	var rendered []Rendered
	var broken found
	for i, env := range in.Environments {
		if errs[i] != nil {
			broken.add(notRendered(in.Project, env, errs[i], leftOut))
			continue
		}
		of := slices.DeleteFunc(slices.Clone(leftOut), func(l LeftOut) bool {
			return !slices.Contains(l.Environments, env.Name)
		})
		rendered = append(rendered, Rendered{env, results[i], of})
	}
	for _, l := range leftOut {
		broken.add(leftOutFinding(l))
	}
	r, err := examine(ctx, &subject{Input: in}, rendered, broken, groups)
	r.LeftOut = slices.DeleteFunc(leftOut, func(l LeftOut) bool { return len(l.Environments) == 0 })
	return r, err
}

// renderAll renders two environments at a time: each may need much memory.
func renderAll(ctx context.Context, in Input) (results []render.Result, errs []error, err error) {
	results, errs = make([]render.Result, len(in.Environments)), make([]error, len(in.Environments))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for i, env := range in.Environments {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i], errs[i] = in.Renderer.Render(ctx, env)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return results, errs, nil
}

func examine(
	ctx context.Context, s *subject, rendered []Rendered, all found, groups []group,
) (Report, error) {
	r := Report{Environments: []string{}, Unchecked: []finding.Unchecked{}}
	if s.Rules == nil {
		var err error
		if s.Rules, err = rule.Load(); err != nil {
			return r, err
		}
	}
	if err := checkExceptions(s.Project, s.Rules); err != nil {
		return r, err
	}
	if s.Renderer != nil {
		s.view = s.Renderer.View(ctx)
	}
	for _, e := range rendered {
		s.envs = append(s.envs, newEnvironment(e, s.Project.Environments))
		r.Environments = append(r.Environments, e.Environment.Name)
		if isOther(s.Project, e.Environment) {
			r.Others = append(r.Others, e.Environment.Name)
		}
	}
	for _, e := range s.envs {
		r.Notes = append(r.Notes, remarks(e, r.Notes)...)
	}
	for _, e := range s.Environments {
		if !s.partial && !slices.Contains(r.Environments, e.Name) && !isOther(s.Project, e) {
			r.NotRendered = append(r.NotRendered, e.Name)
		}
	}
	for _, g := range groups {
		if g.all != nil {
			all.add(g.all(ctx, s))
			continue
		}
		for _, e := range s.envs {
			all.add(withoutGuesses(e, g.each(s, e)).in(e.Name))
		}
	}
	l := &locator{files: s.files, envs: s.envs, origins: all.origins, mappings: map[string][]*yaml.Node{}}
	findings := applicable(all.findings, s)
	findings, r.Accepted = accept(findings, s, l)
	r.Findings = finish(findings, s, l)
	if !s.partial {
		var replaced []finding.Unchecked
		r.Findings, replaced = withoutReplaced(r.Findings, s, l)
		all.unchecked = append(all.unchecked, replaced...)
	}
	r.Unchecked = append(r.Unchecked, all.unchecked...)
	r.Crossings = compare(s)
	return r, ctx.Err()
}

func (f *found) add(more found) {
	f.findings = append(f.findings, more.findings...)
	f.unchecked = append(f.unchecked, more.unchecked...)
	if more.origins != nil {
		f.origins = more.origins
	}
}

// in names the environment in findings that name none.
func (f found) in(env string) found {
	for i := range f.findings {
		if f.findings[i].Environments == nil {
			f.findings[i].Environments = []string{env}
		}
	}
	for i := range f.unchecked {
		if f.unchecked[i].Environments == nil {
			f.unchecked[i].Environments = []string{env}
		}
	}
	return f
}

// applicable leaves out the environments whose class a finding's rule is not for, and findings of none.
func applicable(all []finding.Finding, s *subject) []finding.Finding {
	rules := rulesByID(s)
	classes := map[string]project.Class{}
	for _, e := range s.envs {
		classes[e.Name] = e.Class
	}
	var left []finding.Finding
	for _, f := range all {
		named := len(f.Environments) > 0
		f.Environments = slices.DeleteFunc(slices.Clone(f.Environments), func(name string) bool {
			class, ok := classes[name]
			return ok && !rules[f.Rule].Holds(class)
		})
		if !named || len(f.Environments) > 0 {
			left = append(left, f)
		}
	}
	return left
}

func rulesByID(s *subject) map[string]finding.Rule {
	rules := map[string]finding.Rule{}
	for _, r := range s.Rules.Rules() {
		rules[r.ID] = r
	}
	return rules
}

// objectRules asks the rules over one object.
func objectRules(s *subject, e *environment) found {
	var all found
	for _, o := range e.objects {
		findings, unchecked := s.Rules.Check(o, e.Class)
		all.add(found{findings: findings, unchecked: unchecked})
	}
	return all
}
