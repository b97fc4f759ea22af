package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/check/schema"
	"slipway/internal/git"
	"slipway/internal/object"
	"slipway/internal/project"
	"slipway/internal/render"
)

const (
	asSARIF  format = "sarif"
	asGitHub format = "github"
)

// unknownRuleError says that there is no such rule.
type unknownRuleError struct{ ID, Suggestion string }

func (e *unknownRuleError) Error() string { return fmt.Sprintf("unknown rule %q", e.ID) }

type checkOptions struct {
	out          *format
	failOn       finding.Severity
	explain, fix bool
	kubeVersion  string
	schemas      []string
}

func newCheckCommand(a *app) *cobra.Command {
	o := checkOptions{failOn: finding.Error}
	cmd := &cobra.Command{
		Use: "check [ENV...]", Short: "Find what is wrong before it is deployed",
		Long: `Renders the environments (all of them, unless some are named) and says what is wrong with them, where,
and what to write instead: overrides that do nothing, references that lead nowhere, what must not go to
production and what must be there, and pipelines that deploy something else than they build. It asks no
cluster, needs no configuration, and writes nothing without --fix.

What is meant to be as it is goes under "exceptions:" in slipway.yaml, with its reason.`,
		Example: "  slipway check\n  slipway check prod -o github\n  slipway check --explain image-mutable",
	}
	o.out = outputFlag(cmd, asText, asJSON, asSARIF, asGitHub, asMarkdown)
	f := cmd.Flags()
	f.Var((*severityValue)(&o.failOn), "fail-on", "exit with 4 at an error, or at a warning already")
	f.BoolVar(&o.explain, "explain", false, "list all rules, or explain the one that is named: --explain RULE")
	f.BoolVar(&o.fix, "fix", false, "change the files where the fix is certain, and print each change")
	f.StringVar(&o.kubeVersion, "kube-version", "", "the clusters' version (1.34), instead of kubeVersion in slipway.yaml")
	f.StringArrayVar(&o.schemas, "schema", nil, "a file or folder with definitions of custom resources; may be repeated")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.explain {
			return a.explainRules(args)
		}
		return runCheck(c.Context(), a, args, o)
	}
	return cmd
}

type severityValue finding.Severity

func (v *severityValue) String() string { return string(*v) }
func (v *severityValue) Type() string   { return "warning or error" }
func (v *severityValue) Set(s string) error {
	if s != string(finding.Error) && s != string(finding.Warning) {
		return fmt.Errorf("use one of [%s %s]", finding.Warning, finding.Error)
	}
	*v = severityValue(s)
	return nil
}

func runCheck(ctx context.Context, a *app, names []string, o checkOptions) error {
	p, err := project.Open(a.dir)
	if err != nil {
		return err
	}
	for _, n := range p.Notes {
		a.warn("note: %s", n)
	}
	envs, err := checked(p, names)
	if err != nil {
		return err
	}
	for i := range envs {
		envs[i].Namespace = cmp.Or(a.namespace, envs[i].Namespace)
	}
	in := check.Input{Project: p, Environments: envs, KubeVersion: o.kubeVersion}
	if in.Definitions, err = definitions(o); err != nil {
		return err
	}
	if in.Rules, err = check.LoadRules(p.Dir, p.Rules); err != nil {
		return err
	}
	if in.Past, err = past(ctx, p.Dir); err != nil {
		return err
	}
	report, err := a.check(ctx, in)
	if err != nil {
		return err
	}
	if o.fix {
		if err := a.fix(p.Dir, report); err != nil {
			return err
		}
		if report, err = a.check(ctx, in); err != nil { // what is left
			return err
		}
	}
	if err := a.printReport(report, in.Rules, *o.out); err != nil {
		return err
	}
	a.tellReport(report, *o.out)
	for _, f := range report.Findings {
		if f.Severity == finding.Error || o.failOn == finding.Warning {
			return errFaults
		}
	}
	return nil
}

// past is the project as the last commit has it, or the one before where nothing has changed since. It is
// nil outside Git, and for the first commit.
func past(ctx context.Context, dir string) (*check.Past, error) {
	repository, err := git.Open(ctx, dir)
	if errors.Is(err, git.ErrNone) || errors.Is(err, git.ErrNoProgram) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, revision := range []string{"HEAD", "HEAD~1"} {
		if !repository.Exists(ctx, revision) {
			if revision == "HEAD~1" && repository.IsShallow(ctx) {
				return &check.Past{Missing: "the clone holds no commit before this one: fetch one more (fetch-depth: 2)"}, nil
			}
			return nil, nil
		}
		changed, err := repository.Changed(ctx, revision, dir)
		if err != nil {
			return nil, err
		}
		if len(changed) > 0 {
			return &check.Past{Name: revision, Changed: changed, Text: func(name string) ([]byte, error) {
				return repository.Text(ctx, revision, dir, name)
			}}, nil
		}
	}
	return nil, nil
}

// checked are the environments to look at, those of layouts that nothing is deployed from included.
func checked(p project.Project, names []string) ([]project.Environment, error) {
	all := p
	all.Environments = append(slices.Clone(p.Environments), p.Others...)
	if len(names) == 0 {
		return all.Environments, nil
	}
	var envs []project.Environment
	for _, n := range names {
		env, err := all.Environment(n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(envs, func(e project.Environment) bool { return e.Name == n }) {
			envs = append(envs, env)
		}
	}
	return envs, nil
}

func (a *app) check(ctx context.Context, in check.Input) (check.Report, error) {
	options := a.renderOptions("render")
	options.Remotes = in.Project.Remotes
	r, err := render.Open(in.Project.Dir, options)
	if err != nil {
		return check.Report{}, err
	}
	defer r.Close()
	in.Renderer, in.Now = r, time.Now()
	return check.Run(ctx, in)
}

// definitions are the objects of the files and folders of --schema.
func definitions(o checkOptions) ([]object.Object, error) {
	if _, err := schema.New(schema.Options{KubeVersion: o.kubeVersion}); err != nil {
		return nil, &usageError{fmt.Errorf("--kube-version: %w", err)}
	}
	var all []object.Object
	for _, top := range o.schemas {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			manifest := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
			if err != nil || d.IsDir() || !manifest && path != top {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			list, err := object.Read(bytes.NewReader(text), path)
			all = append(all, list...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("--schema %s: %w", top, err)
		}
	}
	return all, nil
}

func (a *app) printReport(r check.Report, rules *rule.Set, as format) error {
	switch as {
	case asJSON:
		return a.json(r)
	case asSARIF:
		return a.json(sarifOf(r, check.Rules(rules)))
	case asGitHub:
		githubOutput{a.stdout, a.workspaceFolder}.annotate(reportNotes(r)...)
		return nil
	case asMarkdown:
		return printMarkdown(a.stdout, r)
	}
	end := a.ci.group("findings")
	a.printFindings(r)
	end()
	return nil
}

// printFindings prints the report for a person.
func (a *app) printFindings(r check.Report) {
	s, several := styleOf(a.stdout), len(r.Environments) > 1
	for _, c := range r.Crossings {
		fmt.Fprintf(a.stdout, "%s    %s\n", s.bold(c.B+" ← "+c.A), summary(c))
	}
	for _, f := range r.Findings {
		mark := s.red("✗")
		if f.Severity == finding.Warning {
			mark = s.yellow("!")
		}
		what := ""
		if f.Object != nil {
			what = clean(f.Object.String()) + "  "
		}
		fmt.Fprintf(a.stdout, "%s %s  %s%s\n", mark, s.bold(f.Rule), what, brief(oneLine(f.Message)))
		place := clean(f.Place.String())
		if len(f.Environments) > 0 && several {
			place = strings.TrimSpace(place + "  " + s.dim("in "+list(f.Environments)))
		}
		for _, line := range []string{place, prefixed("fix: ", brief(oneLine(f.Fix)))} {
			if line != "" {
				fmt.Fprintf(a.stdout, "    %s\n", line)
			}
		}
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(a.stdout, "%s\n", s.dim("· not checked: "+uncheckedLine(u)))
	}
	fmt.Fprintln(a.stdout, checkSummary(r))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// uncheckedLine says what could not be looked at, where, and why.
func uncheckedLine(u finding.Unchecked) string {
	var parts []string
	if u.Object != nil {
		parts = append(parts, u.Object.String()+":")
	}
	parts = append(parts, u.What)
	if p := u.Place.String(); p != "" {
		parts = append(parts, "("+p+")")
	}
	if len(u.Environments) > 0 && u.Object != nil {
		parts = append(parts, "in "+list(u.Environments))
	}
	return clean(strings.Join(parts, " ") + ": " + oneLine(u.Why))
}

// checkSummary is the last line: "dev, prod: 3 errors, 1 warning".
func checkSummary(r check.Report) string {
	errs := 0
	for _, f := range r.Findings {
		if f.Severity == finding.Error {
			errs++
		}
	}
	parts := []string{"nothing found"}
	if len(r.Findings) > 0 {
		parts = []string{count(errs, "error"), count(len(r.Findings)-errs, "warning")}
	}
	if r.Accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", r.Accepted))
	}
	if n := len(r.Unchecked); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not checked", n))
	}
	return cmp.Or(strings.Join(r.Environments, ", "), "no environment") + ": " + strings.Join(parts, ", ")
}
