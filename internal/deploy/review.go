package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/cluster"
	"slipway/internal/project"
	"slipway/internal/release"
	"slipway/internal/render"
	"slipway/internal/words"
)

// Review is what check says about the objects that are to be deployed.
type Review struct {
	// Blocking are the errors, which keep the objects out of production.
	Blocking []finding.Finding `json:"blocking,omitempty"`
	// Found are errors that keep nothing out: those of other classes, and those of a release to go back to.
	Found []finding.Finding `json:"found,omitempty"`
	// Allowed are the rules whose errors this run lets through.
	Allowed []release.Allowance `json:"allowed,omitempty"`
	// Unused are rules that the run allows without need.
	Unused []string `json:"unused,omitempty"`
	// Errors and Warnings count the findings, those that are let through included. Accepted counts those that
	// exceptions in slipway.yaml leave out.
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Accepted int `json:"accepted"`
}

// Rest counts the findings below errors: "3 warnings, 1 accepted".
func (r Review) Rest() string {
	var parts []string
	if r.Warnings > 0 {
		parts = append(parts, words.Count(r.Warnings, "warning"))
	}
	if r.Accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", r.Accepted))
	}
	return strings.Join(parts, ", ")
}

// CheckError says that check finds errors in what a deploy would take to production.
type CheckError struct {
	Environment string
	Review      Review
}

func (e *CheckError) Error() string {
	f, more := e.Review.Blocking[0], ""
	if n := len(e.Review.Blocking) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("check refuses %s: %s: %s%s", e.Environment, f.Rule, sentence(f), more)
}

// sentence is a finding with its object and place.
func sentence(f finding.Finding) string {
	text := f.Message
	if f.Object != nil {
		text = f.Object.String() + ": " + text
	}
	if at := f.Place.String(); at != "" {
		text += " (" + at + ")"
	}
	return text
}

// Allow lets the errors of some rules through for one run.
type Allow struct {
	Rules  []string `json:"rules"`
	Reason string   `json:"reason"`
}

// renderReviewed renders and checks the environment. Where the cluster does not answer with its version, a
// chart is checked as it renders for the version that Helm assumes.
func renderReviewed(ctx context.Context, t Target, o ProposeOptions) (rendering, Review, error) {
	if t.Isolate != nil {
		return renderIsolated(ctx, t, o)
	}
	r, err := renderTarget(ctx, t, o.PrepareOptions)
	unreachable := err
	if _, ok := errors.AsType[*cluster.UnreachableError](err); ok {
		t.Cluster = nil
		r, err = renderTarget(ctx, t, o.PrepareOptions)
	}
	if err != nil {
		return r, Review{}, cmp.Or(unreachable, err)
	}
	reviewed, err := review(ctx, t, r, o.Allow)
	if err == nil {
		err = unreachable
	}
	if err != nil {
		return r, reviewed, errors.Join(err, r.close())
	}
	return r, reviewed, nil
}

// review asks check about what was rendered. In production it fails with a *CheckError when there are errors
// that neither an exception nor the caller allows.
func review(ctx context.Context, t Target, r rendering, allow Allow) (Review, error) {
	rules, err := rulesOf(t, allow)
	if err != nil {
		return Review{}, err
	}
	report, err := check.Deployment(ctx, check.Input{
		Project: t.Source.Project, Renderer: r.renderer, Rules: rules, Now: time.Now(),
	}, check.Rendered{Environment: r.env, Result: r.result})
	if err != nil {
		return Review{}, fmt.Errorf("check %s: %w", r.env.Name, err)
	}
	made := sortFindings(report, allow)
	if r.env.Class == project.Production && len(made.Blocking) > 0 {
		return made, &CheckError{Environment: r.env.Name, Review: made}
	}
	made.Found, made.Blocking = made.Blocking, nil
	return made, nil
}

// reviewRecorded asks check about the objects of an earlier release. The way back is never refused.
func reviewRecorded(ctx context.Context, t Target, rel release.Release) (Review, error) {
	rules, err := rulesOf(t, Allow{})
	if err != nil {
		return Review{}, err
	}
	in := check.Input{Project: t.Source.Project, Rules: rules, Now: time.Now()}
	report, err := check.Objects(ctx, in, []check.Rendered{
		{Environment: t.Environment, Result: render.Result{Set: rel.Objects}},
	})
	if err != nil {
		return Review{}, fmt.Errorf("check release %d: %w", rel.Revision, err)
	}
	made := sortFindings(report, Allow{})
	made.Found, made.Blocking = made.Blocking, nil
	return made, nil
}

// rulesOf reads the rules of the project. It fails for an unknown rule that the caller allows.
func rulesOf(t Target, allow Allow) (*rule.Set, error) {
	rules, err := check.LoadRules(t.Source.Project.Dir, t.Source.Project.Rules)
	if err != nil {
		return nil, err
	}
	for _, id := range allow.Rules {
		if _, err := check.FindRule(rules.Rules(), id); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// sortFindings divides the errors into those that block and those that the caller allows.
func sortFindings(report check.Report, allow Allow) Review {
	r := Review{Accepted: report.Accepted}
	for _, f := range report.Findings {
		switch i := slices.Index(allow.Rules, f.Rule); {
		case f.Severity == finding.Warning:
			r.Warnings++
			continue
		case i < 0:
			r.Blocking = append(r.Blocking, f)
		default:
			r.Allowed = allowFinding(r.Allowed, f, allow.Reason)
		}
		r.Errors++
	}
	for _, id := range allow.Rules {
		if !slices.ContainsFunc(r.Allowed, func(a release.Allowance) bool { return a.Rule == id }) {
			r.Unused = append(r.Unused, id)
		}
	}
	return r
}

// allowing is the review with a random value that the caller allows.
func (r Review) allowing(text, reason string) Review {
	r.Unused = slices.DeleteFunc(slices.Clone(r.Unused), func(id string) bool { return id == unstableRule })
	isNoted := func(a release.Allowance) bool {
		return a.Rule == unstableRule && slices.Contains(a.Findings, text)
	}
	if !slices.ContainsFunc(r.Allowed, isNoted) {
		r.Allowed = addAllowed(slices.Clone(r.Allowed), unstableRule, reason, text)
	}
	return r
}

func allowFinding(all []release.Allowance, f finding.Finding, reason string) []release.Allowance {
	return addAllowed(all, f.Rule, reason, sentence(f))
}

func addAllowed(all []release.Allowance, rule, reason, text string) []release.Allowance {
	i := slices.IndexFunc(all, func(a release.Allowance) bool { return a.Rule == rule })
	if i < 0 {
		i, all = len(all), append(all, release.Allowance{Rule: rule, Reason: reason})
	}
	all[i].Findings = append(slices.Clone(all[i].Findings), text)
	return all
}
