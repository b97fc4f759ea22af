package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/check/finding"
	"slipway/internal/check/rule"
	"slipway/internal/check/schema"
	"slipway/internal/ci"
	"slipway/internal/project"
)

const (
	asSARIF  format = "sarif"
	asGitHub format = "github"
)

type checkOptions struct {
	out          *format
	failOn       finding.Severity
	explain, fix bool
	all          bool
	kubeVersion  string
	class        string
	schemas      []string
}

func newCheckCommand(a *app) *cobra.Command {
	o := checkOptions{failOn: finding.Error}
	cmd := &cobra.Command{
		Use: "check [ENV... | -]", Short: "Find faults before they are deployed",
		Long: `Renders the environments (by default all of them) and reports what is wrong, where, and how
to fix it: overrides without effect, references to missing objects, laptop settings that must not reach
production, objects that production needs, and pipelines that deploy a different image than they build.
It contacts no cluster, needs no configuration, and writes nothing without --fix.

Faults, which break something now or later, are printed in full. Gaps, which are what production lacks,
take one line per rule. Hardening, which limits the damage of an attack or a leak, is only counted.
--all prints everything in full. The last lines list what could not be checked.

With -, it checks the manifests on stdin by the rules for production, whichever program rendered them.

To accept a finding, add it with a reason to "exceptions:" in slipway.yaml.`,
		Example: "  slipway check\n  slipway check prod -o github\n  helmfile template | slipway check -\n" +
			"  slipway check --explain image-mutable",
	}
	o.out = a.outputFlag(cmd, asText, asJSON, asSARIF, asGitHub, asMarkdown)
	f := cmd.Flags()
	f.Var((*severityValue)(&o.failOn), "fail-on",
		"lowest severity at which check exits with 4: warning or error")
	f.BoolVar(&o.all, "all", false, "print gaps, hardening and long lists in full")
	f.BoolVar(&o.explain, "explain", false, "list all rules, or explain one: --explain RULE")
	f.BoolVar(&o.fix, "fix", false, "apply the fixes that are certain to be right, and print each change")
	f.StringVar(&o.kubeVersion, "kube-version", "",
		"Kubernetes version of the clusters (1.34), instead of kubeVersion in slipway.yaml")
	f.StringVar(&o.class, "class", "",
		"class whose rules apply to manifests on stdin (slipway check -): local, staging or production")
	f.StringArrayVar(&o.schemas, "schema", nil,
		"file or directory with CustomResourceDefinitions; may be repeated")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.explain {
			return explainRules(a.stdout, a.dir, args)
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
	if _, err := schema.New(schema.Options{KubeVersion: o.kubeVersion}); err != nil {
		return &usageError{fmt.Errorf("--kube-version: %w", err)}
	}
	p, done, err := checkedProject(a, names, o.class)
	if err != nil {
		return err
	}
	defer done()
	envs, err := p.Select(slices.DeleteFunc(names, func(n string) bool { return n == "-" }))
	if err != nil {
		return err
	}
	checked, err := check.Project(ctx, p, envs, check.Options{
		Namespace: a.namespace, KubeVersion: o.kubeVersion, Schemas: o.schemas, Fix: o.fix,
		Render: a.renderOptions("render"),
	})
	printFixed(a.stderr, checked.Fixed)
	if err != nil {
		return err
	}
	if o.fix {
		countFixed(a.stderr, checked.Fixed)
	}
	a.notes(checked.Notes)
	page := reportPage{
		Report: checked.Report, rules: rulesByID(checked.Rules), all: o.all, width: widthOf(a.stdout),
	}
	if err := printReport(a, page, checked.Rules, *o.out); err != nil {
		return err
	}
	tellReport(a.cli, page, *o.out)
	if checked.Fails(o.failOn) {
		return errFaults
	}
	return nil
}

// checkedProject is the project, or the one that stdin stands for, and what to do when it has been checked.
func checkedProject(a *app, names []string, class string) (project.Project, func(), error) {
	c, err := stdinClass(names, class)
	if err != nil {
		return project.Project{}, nil, err
	}
	if c != "" {
		return check.Manifests(a.stdin, c)
	}
	p, err := a.project()
	return p, func() {}, err
}

// stdinClass returns the class that check's arguments ask for manifests on stdin, empty where they name
// environments of the project.
func stdinClass(args []string, class string) (project.Class, error) {
	stdin := len(args) == 1 && args[0] == "-"
	switch {
	case !stdin && class != "":
		return "", &usageError{errors.New("--class applies to manifests on stdin: pass - as the only argument")}
	case !stdin:
		return "", nil
	case class == "":
		return project.Production, nil
	case !slices.Contains([]string{"local", "staging", "production"}, class):
		return "", &usageError{errors.New("--class: use one of local, staging, production")}
	}
	return project.Class(class), nil
}

func printReport(a *app, p reportPage, rules *rule.Set, as format) error {
	switch as {
	case asJSON:
		return a.json(p.Report)
	case asSARIF:
		return a.json(sarifOf(p.Report, rules.Rules()))
	case asGitHub:
		github, _ := ci.Named("github")
		github.Output(os.Getenv, a.stdout, a.projectDir).Annotate(reportNotes(p)...)
		if line := p.hardeningLine(); line != "" {
			fmt.Fprintln(a.stdout, line)
		}
		return nil
	case asMarkdown:
		return printMarkdown(a.stdout, p)
	}
	end := a.ci.Fold("findings")
	printFindings(a.stdout, p)
	end()
	return nil
}
