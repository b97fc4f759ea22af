package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/check/contract"
	"slipway/internal/deploy"
	"slipway/internal/project"
)

// errFaults says that a check found faults. They have been printed.
var errFaults = errors.New("faults were found")

func newCompareCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare A B | compare ENV --live",
		Short: "Compare two environments, and report unexpected differences",
		Long: `Renders two environments, or one environment at two Git revisions (prod@HEAD~3 prod), and
compares them. It ignores prefixes, namespaces and hashes in object names. It only counts expected
differences: replicas, images, resources, settings, hosts and names. It reports laptop settings in B,
objects and fields that B lacks, and differences without a known reason as faults, and then exits with
4. To accept a difference, add it with a reason to "exceptions:" in slipway.yaml. Secret values are not
shown.

compare contacts a cluster only with --live: it then compares the objects that run with the ones that a
deploy would produce, with the API server's defaults filled in.`,
	}
	var o compareOptions
	o.out = a.outputFlag(cmd, asText, asJSON, asMarkdown)
	cmd.Flags().BoolVar(&o.all, "all", false, "also show expected differences")
	cmd.Flags().BoolVar(&o.live, "live", false, "compare one environment with the objects in its cluster")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.live:
			return a.envArgs(0)(cmd, args)
		case len(args) != 2:
			return fmt.Errorf("%s takes two environments, or one and --live", cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.live {
			return runCompareLive(c.Context(), a, args[0], o)
		}
		return runCompare(c.Context(), a, args[0], args[1], o)
	}
	return cmd
}

type compareOptions struct {
	out       *format
	all, live bool
}

func runCompare(ctx context.Context, a *app, from, to string, o compareOptions) error {
	nameA, _, _ := strings.Cut(from, "@")
	nameB, _, _ := strings.Cut(to, "@")
	p, err := a.projectOf(nameA, nameB)
	if err != nil {
		return err
	}
	result, err := compareIn(ctx, a, p, from, to)
	if err != nil {
		return err
	}
	return showComparison(a.cli, result, o)
}

func compareIn(ctx context.Context, a *app, p project.Project, from, to string) (contract.Result, error) {
	return check.Compare(ctx, p, from, to, check.CompareOptions{
		Namespace: a.namespace, Render: a.renderOptions("render"), Today: today(),
	})
}

func runCompareLive(ctx context.Context, a *app, name string, o compareOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	result, err := deploy.CompareLive(ctx, t, today())
	if err != nil {
		return err
	}
	return showComparison(a.cli, result, o)
}

// today is the day by which exceptions expire.
func today() string { return time.Now().Format(time.DateOnly) }

func showComparison(c *cli, r contract.Result, o compareOptions) (err error) {
	c.notes(r.Notes)
	switch *o.out {
	case asJSON:
		err = c.json(r)
	case asMarkdown:
		_, err = io.WriteString(c.stdout, markdown(r))
	default:
		printComparison(c.stdout, r, o.all)
	}
	for _, f := range r.Findings {
		c.warn("warning: %s: %s", f.Place, f.Message)
	}
	if err == nil && r.Faults() > 0 {
		return errFaults
	}
	return err
}

// faultMarks are the marks of the classes.
var faultMarks = map[contract.Class]string{
	contract.MustNotShip: "✗", contract.Missing: "✗", contract.Unexplained: "✗", contract.Accepted: "·",
	contract.Expected: "=",
}

// summary is "31 fields equal · 9 differ as expected · 2 must not ship".
func summary(r contract.Result) string {
	parts := []string{count(r.Equal, "field") + " equal"}
	for _, c := range []contract.Class{contract.Expected, contract.Accepted, contract.MustNotShip,
		contract.Missing, contract.Unexplained} {
		if n := r.Count(c); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, classWords(c)))
		}
	}
	return strings.Join(parts, " · ")
}

func classWords(c contract.Class) string {
	switch c {
	case contract.Expected:
		return "differ as expected"
	case contract.Accepted:
		return "accepted"
	}
	return string(c)
}

func printComparison(w io.Writer, r contract.Result, all bool) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s    %s\n", s.bold(r.B+" ← "+r.A), summary(r))
	for _, c := range contract.Classes {
		causes := r.Causes(c)
		if len(causes) == 0 {
			continue
		}
		mark := faultMarks[c]
		if c == contract.Expected && !all {
			fmt.Fprintln(w, s.mark(mark, mark+" "+classWords(c)+": "+r.Kinds(c)))
			continue
		}
		fmt.Fprintln(w, s.mark(mark, fmt.Sprintf("%s %s: %d because of %s", mark, classWords(c), r.Count(c),
			count(contract.CountLines(causes), "line"))))
		for _, cause := range causes {
			fmt.Fprintf(w, "  %s\n", cmp.Or(places(cause), "(unknown place)"))
			for _, d := range cause.Differences {
				fmt.Fprintf(w, "    %s\n", differenceLine(d))
			}
		}
	}
}

func places(c contract.Cause) string {
	var all []string
	for _, p := range c.Places {
		all = append(all, clean(p.String()))
	}
	return strings.Join(all, ", ")
}

func differenceLine(d contract.Difference) string {
	text := clean(d.Object.String())
	switch {
	case d.IsOnBothSides():
		on := value(fieldValue(d.Field, d.B, d.WrittenB), true)
		text += fmt.Sprintf("  %s   %s on both sides", clean(d.Field), on)
	case d.Field != "":
		from, to := sidesOf(d)
		text += fmt.Sprintf("  %s   %s → %s", clean(d.Field), from, to)
	default:
		text += "   is only in " + d.Only
	}
	return text + "   (" + because(d) + ")"
}

func sidesOf(d contract.Difference) (a, b string) {
	return values(fieldValue(d.Field, d.A, d.WrittenA), fieldValue(d.Field, d.B, d.WrittenB))
}

// because returns the kind of a difference, and why it is permitted or not.
func because(d contract.Difference) string {
	if d.Reason == "" {
		return d.What
	}
	return d.What + ": " + brief(oneLine(d.Reason))
}

// markdown formats a comparison for a pull request.
func markdown(r contract.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s ← %s\n\n%s\n", cell(r.B), cell(r.A), summary(r))
	for _, c := range contract.Classes {
		causes := r.Causes(c)
		if len(causes) == 0 {
			continue
		}
		title := fmt.Sprintf("%s: %d because of %s", classWords(c), r.Count(c),
			count(contract.CountLines(causes), "line"))
		if c == contract.Expected {
			fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n", title)
		} else {
			fmt.Fprintf(&b, "\n**%s**\n", title)
		}
		fmt.Fprintf(&b, "\n| object | field | %s | %s | what | because of |\n|---|---|---|---|---|---|\n",
			cell(r.A), cell(r.B))
		for _, cause := range causes {
			for _, d := range cause.Differences {
				from, to := sidesOf(d)
				if d.Field == "" {
					d.Field, from, to = "only in "+d.Only, "", ""
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", cell(d.Object.String()), cell(d.Field), cell(from),
					cell(to), escaped(because(d)), cell(places(cause)))
			}
		}
		if c == contract.Expected {
			b.WriteString("\n</details>\n")
		}
	}
	return b.String()
}

// cell quotes a text for a Markdown table.
func cell(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(oneLine(clean(text))) + "`"
}

func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "*", `\*`, "_", `\_`).Replace(text)
}
