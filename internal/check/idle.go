package check

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/project"
)

// How long check looks for overrides that do nothing, in all environments together and in one at most; and
// how many objects it renders for that in one.
const (
	overridesTime = 12 * time.Second
	overrideTime  = 5 * time.Second
	overrideWork  = 150_000
)

// shareOf is how long one of several environments may take that are still to be looked at.
func shareOf(started time.Time, environments int) time.Duration {
	left := overridesTime - time.Since(started)
	return max(time.Second/2, min(overrideTime, (left/time.Duration(environments)).Truncate(time.Second/2)))
}

// attempt is what became of the overrides of one environment.
type attempt struct {
	env     project.Environment
	checked bool
	report  *origin.Report
	idle    []origin.Override // do nothing
}

// overrides reports what does nothing in any of the environments that read it: a base may well set what
// one of them overrides.
func overrides(ctx context.Context, s *subject) found {
	all := found{origins: map[string]*origin.Report{}}
	live := map[finding.Place]bool{} // or not known to be dead
	var attempts []*attempt
	var broken []project.Environment
	envs, started := withOthers(s), time.Now()
	for i, env := range envs {
		if skipped, ok := skipOverrides(s, env); ok {
			all.unchecked, broken = append(all.unchecked, skipped), append(broken, env)
			continue
		}
		a, err := tryOverrides(ctx, s, env, origin.Options{Budget: shareOf(started, len(envs)-i)})
		if ctx.Err() != nil {
			return all
		}
		if err != nil {
			broken = append(broken, env) // a finding of its own where it is checked
			continue
		}
		attempts = append(attempts, a)
		isIdle := map[finding.Place]bool{}
		for _, o := range a.idle {
			isIdle[o.Place] = true
		}
		for _, e := range a.report.Effects {
			live[e.Place] = live[e.Place] || !isIdle[e.Place]
		}
		for _, o := range a.report.NotTried {
			live[o.Place] = true
		}
		if a.checked {
			all.origins[env.Name] = a.report
		}
	}
	dead := explainAll(ctx, s, attempts, live)
	all.unchecked = append(all.unchecked, notTried(attempts)...)
	l := &locator{files: s.files, envs: s.envs, mappings: map[string][]*yaml.Node{}}
	for _, d := range dead {
		// A base's value serves the environments that do not set it.
		if inBase := d.By != nil && path.Dir(d.By.File) != path.Dir(d.File); inBase || live[d.Place] {
			continue
		}
		if names := readers(ctx, s, broken, d.File); len(names) > 0 {
			all.unchecked = append(all.unchecked, finding.Unchecked{
				Environments: names, Place: d.Place, What: "the effect of " + d.Name,
				Why: "an environment that reads the file does not render, or not completely",
			})
			continue
		}
		all.findings = append(all.findings, deadFinding(l, *d))
	}
	return all
}

// effects finds what overrides do in the environments that are checked, for the places of other findings.
func effects(ctx context.Context, s *subject) found {
	all := found{origins: map[string]*origin.Report{}}
	for _, e := range s.envs {
		report, err := origin.Analyze(ctx, s.Renderer, e.Environment, origin.Options{
			Budget: overrideTime, Work: overrideWork, Rendered: &e.Result,
		})
		if err == nil { // it has rendered before: without the effects, a finding has the place of its object
			all.origins[e.Name] = report
		}
	}
	return all
}

// tryOverrides finds the overrides that do nothing in an environment. It fails where that does not render.
func tryOverrides(
	ctx context.Context, s *subject, env project.Environment, options origin.Options,
) (*attempt, error) {
	a := &attempt{env: env}
	options.Work = overrideWork
	if e := s.environment(env.Name); e != nil {
		a.checked, options.Rendered = true, &e.Result
	}
	var err error
	if a.report, err = origin.Analyze(ctx, s.Renderer, env, options); err != nil {
		return nil, err
	}
	var left []origin.Override
	a.idle, left, err = a.report.Idle(ctx)
	a.report.NotTried = append(a.report.NotTried, left...)
	return a, err
}

// explainAll explains the overrides that are idle in all environments. One that cannot be explained becomes
// live.
func explainAll(
	ctx context.Context, s *subject, attempts []*attempt, live map[finding.Place]bool,
) []*deadOverride {
	var dead []*deadOverride
	for _, a := range attempts {
		isLive := func(o origin.Override) bool { return live[o.Place] }
		candidates := slices.DeleteFunc(a.idle, isLive)
		explained, left, err := a.report.Explain(ctx, candidates)
		if err != nil {
			return nil
		}
		a.report.NotTried = append(a.report.NotTried, left...)
		isDead := map[finding.Place]bool{}
		for _, d := range explained {
			isDead[d.Place] = true
			i := slices.IndexFunc(dead, func(other *deadOverride) bool { return other.Place == d.Place })
			switch {
			case !a.checked || namesLeftOut(s, a.env, d):
				continue
			case i < 0:
				i = len(dead)
				dead = append(dead, &deadOverride{Dead: d})
			}
			dead[i].environments = append(dead[i].environments, a.env.Name)
		}
		for _, o := range candidates {
			live[o.Place] = live[o.Place] || !isDead[o.Place]
		}
	}
	return dead
}

// readers returns the environments that may read a file.
func readers(ctx context.Context, s *subject, envs []project.Environment, file string) []string {
	var names []string
	for _, env := range envs {
		if origin.MayRead(ctx, s.Renderer, env, file) {
			names = append(names, env.Name)
		}
	}
	return names
}

// notTried says which overrides the budgets did not reach, and which files are not looked at: each once.
func notTried(attempts []*attempt) []finding.Unchecked {
	var all []finding.Unchecked
	add := func(u finding.Unchecked, env string) {
		i := slices.IndexFunc(all, func(o finding.Unchecked) bool { return o.Place == u.Place && o.What == u.What })
		if i < 0 {
			i, all = len(all), append(all, u)
		}
		all[i].Environments = append(all[i].Environments, env)
	}
	for _, a := range attempts {
		if !a.checked {
			continue
		}
		for _, o := range a.report.NotTried {
			add(finding.Unchecked{Place: o.Place, What: "the effect of " + o.Name,
				Why: fmt.Sprintf("trying the overrides takes %s", a.report.Limit)}, a.env.Name)
		}
		for _, name := range a.report.Several {
			add(finding.Unchecked{Place: finding.Place{File: name}, What: "the overrides in the file",
				Why: "it has several documents"}, a.env.Name)
		}
	}
	return all
}

// environment returns the environment of that name that is checked; nil: it is not.
func (s *subject) environment(name string) *environment {
	i := slices.IndexFunc(s.envs, func(e *environment) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return s.envs[i]
}
