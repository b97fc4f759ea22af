package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/deploy"
	"slipway/internal/git"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/project"
	"slipway/internal/render"
)

// errFaults says that a check found faults, which have been shown.
var errFaults = errors.New("faults were found")

func newCompareCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare A B | compare ENV --live",
		Short: "Show how environment B differs from A, because of what, and whether it may",
		Long: `Renders two environments, or one at two Git revisions (prod@HEAD~3 prod), and sets them side by side,
whatever prefixes, namespaces and hashes their objects are named with. What environments are there for
is expected and only counted: replicas, images, resources, settings, hosts, names. What belongs on a
laptop, what B lacks, and what nobody has given a reason for are faults, and the exit code is then 4.
Exceptions with their reasons stand in slipway.yaml. No secrets are shown, and no cluster is asked, unless
with --live: then B is what runs, as the API server would have it after a deploy of A.`,
	}
	var o compareOptions
	o.out = outputFlag(cmd, asText, asJSON, asMarkdown)
	cmd.Flags().BoolVar(&o.all, "all", false, "show what is expected too, instead of counting it")
	cmd.Flags().BoolVar(&o.live, "live", false, "set one environment beside what runs in its cluster")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.live:
			return a.envArgs(0)(cmd, args)
		case len(args) != 2:
			return fmt.Errorf("%s takes two environments: A and B, or one and --live", cmd.CommandPath())
		}
		return nil
	}
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if o.live {
			in, err := a.liveSides(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.showComparison(in, o)
		}
		return runCompare(c.Context(), a, args, o)
	}
	return cmd
}

type compareOptions struct {
	out       *format
	all, live bool
}

func runCompare(ctx context.Context, a *app, names []string, o compareOptions) error {
	here, err := project.Open(a.dir)
	if err != nil {
		return err
	}
	for _, n := range here.Notes {
		a.warn("note: %s", n)
	}
	in := contract.Input{Exceptions: here.Exceptions}
	for i, side := range []*contract.Side{&in.A, &in.B} {
		p := here
		envName, revision, past := strings.Cut(names[i], "@")
		if past {
			folder, err := os.MkdirTemp("", "slipway-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(folder)
			if p, err = projectAt(ctx, here.Dir, revision, folder); err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
		}
		env, err := p.Environment(envName)
		if err != nil {
			return err
		}
		options := a.renderOptions("render")
		options.Remotes = p.Remotes
		r, err := render.Open(p.Dir, options)
		if err != nil {
			return err
		}
		defer r.Close()
		side.Name = names[i]
		if err := a.fill(ctx, side, r, env); err != nil {
			return err
		}
	}
	return a.showComparison(in, o)
}

// causesTime is how long the causes on one side may be looked for.
const causesTime = 3 * time.Second

// fill renders a side, and finds out why it is as it is.
func (a *app) fill(ctx context.Context, side *contract.Side, r *render.Renderer,
	env project.Environment) error {
	env.Namespace = cmp.Or(a.namespace, env.Namespace)
	result, err := r.Render(ctx, env)
	if err != nil {
		return err
	}
	for _, w := range result.Warnings {
		a.warn("warning: %s", w)
	}
	report, err := origin.Analyze(ctx, r, env, origin.Options{Budget: causesTime})
	if err != nil {
		return err
	}
	if n := len(report.NotTried); n > 0 {
		a.warn("note: %s: %s not looked at as causes, in %s", side.Name, count(n, "override"), causesTime)
	}
	side.Environment, side.Set = env, result.Set
	side.Because = func(ref object.Ref, field string) []finding.Place {
		var places []finding.Place
		overrides := report.Because(ref, field)
		for _, o := range overrides {
			// Of a patch and one operation of it, the operation says more.
			if !slices.ContainsFunc(overrides, func(in origin.Override) bool {
				return strings.HasPrefix(in.Name, o.Name+": ")
			}) {
				places = append(places, o.Place)
			}
		}
		return places
	}
	side.Locate = func(at object.Origin, field string) finding.Place {
		place, _ := origin.Locate(r.View(ctx), at, field)
		return place
	}
	return nil
}

// liveSides are an environment as a deploy would make it, and as it is.
func (a *app) liveSides(ctx context.Context, name string) (in contract.Input, err error) {
	t, err := a.target(ctx, name)
	if err != nil {
		return in, err
	}
	prepared, err := deploy.Prepare(ctx, t, deploy.PrepareOptions{Image: a.imageOptions(t), Unsigned: true})
	if err != nil {
		return in, err
	}
	proposal, err := deploy.Plan(ctx, t, prepared, deploy.PlanOptions{Force: true})
	if err == nil {
		err = proposal.Blocked()
	}
	in.Exceptions = t.Source.Project.Exceptions
	in.A, in.B = contract.Side{Name: name, Environment: t.Environment}, contract.Side{Name: name + " live",
		Environment: t.Environment}
	in.A.Set.Conceal(prepared.Set.Concealed())
	for _, o := range proposal.Observed {
		if o.Desired.Body != nil {
			o.Merged.Origin = o.Desired.Origin
			err = errors.Join(err, in.A.Set.Add(plan.Wish(o.Merged)))
		}
		if o.Live.Body != nil {
			err = errors.Join(err, in.B.Set.Add(plan.Wish(o.Live)))
		}
	}
	return in, err
}

func (a *app) showComparison(in contract.Input, o compareOptions) (err error) {
	in.Today = time.Now().Format(time.DateOnly)
	r := contract.Compare(in)
	switch *o.out {
	case asJSON:
		err = a.json(r)
	case asMarkdown:
		_, err = io.WriteString(a.stdout, markdown(r))
	default:
		a.printComparison(r, o.all)
	}
	for _, f := range r.Findings {
		a.warn("warning: %s: %s", f.Place, f.Message)
	}
	if err == nil && r.Faults() > 0 {
		return errFaults
	}
	return err
}

// projectAt is the project as it was at a revision, in a folder of its own.
func projectAt(ctx context.Context, dir, revision, folder string) (project.Project, error) {
	repository, err := git.Open(ctx, dir)
	if err != nil {
		return project.Project{}, err
	}
	was, err := repository.Export(ctx, revision, dir, folder)
	if err != nil {
		return project.Project{}, err
	}
	return project.Open(was)
}

// faultMarks are the signs of the classes.
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

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (a *app) printComparison(r contract.Result, all bool) {
	w, s := a.stdout, styleOf(a.stdout)
	fmt.Fprintf(w, "%s    %s\n", s.bold(r.B+" ← "+r.A), summary(r))
	for _, c := range contract.Classes {
		causes := r.Causes(c)
		if len(causes) == 0 {
			continue
		}
		mark := faultMarks[c]
		if c == contract.Expected && !all {
			fmt.Fprintln(w, s.mark(mark, mark+" "+classWords(c)+": "+kinds(r, c)))
			continue
		}
		fmt.Fprintln(w, s.mark(mark, fmt.Sprintf("%s %s: %d because of %s", mark, classWords(c), r.Count(c),
			count(distinct(causes), "line"))))
		for _, cause := range causes {
			fmt.Fprintf(w, "  %s\n", cmp.Or(places(cause), "(nobody knows where)"))
			for _, d := range cause.Differences {
				fmt.Fprintf(w, "    %s\n", differenceLine(d))
			}
		}
	}
}

// kinds counts what differs: "image 2 · replicas 1".
func kinds(r contract.Result, c contract.Class) string {
	counts := map[string]int{}
	for _, d := range r.Differences {
		if d.Class == c {
			counts[d.What]++
		}
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(parts, " · ")
}

// distinct counts the lines that causes lie in.
func distinct(causes []contract.Cause) int {
	lines := map[finding.Place]bool{}
	for _, c := range causes {
		for _, p := range c.Places {
			lines[finding.Place{File: p.File, Line: p.Line}] = true
		}
	}
	return len(lines)
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
	case d.Class == contract.MustNotShip && reflect.DeepEqual(d.A, d.B):
		text += fmt.Sprintf("  %s   %s on both sides", clean(d.Field), value(d.B, true))
	case d.Field != "":
		from, to := values(d.A, d.B)
		text += fmt.Sprintf("  %s   %s → %s", clean(d.Field), from, to)
	default:
		text += "   is in " + d.Only + " alone"
	}
	return text + "   (" + because(d) + ")"
}

// because is what a difference is, and why it may be or not.
func because(d contract.Difference) string {
	if d.Reason == "" {
		return d.What
	}
	return d.What + ": " + brief(oneLine(d.Reason))
}

// markdown is the comparison as a pull request shows it.
func markdown(r contract.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s ← %s\n\n%s\n", cell(r.B), cell(r.A), summary(r))
	for _, c := range contract.Classes {
		causes := r.Causes(c)
		if len(causes) == 0 {
			continue
		}
		title := fmt.Sprintf("%s: %d because of %s", classWords(c), r.Count(c), count(distinct(causes), "line"))
		if c == contract.Expected {
			fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n", title)
		} else {
			fmt.Fprintf(&b, "\n**%s**\n", title)
		}
		fmt.Fprintf(&b, "\n| object | field | %s | %s | what | because of |\n|---|---|---|---|---|---|\n",
			cell(r.A), cell(r.B))
		for _, cause := range causes {
			for _, d := range cause.Differences {
				from, to := values(d.A, d.B)
				if d.Field == "" {
					d.Field, from, to = "in "+d.Only+" alone", "", ""
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

// cell is a text as it stands, in a table of Markdown.
func cell(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.NewReplacer("|", `\|`, "`", "'").Replace(oneLine(clean(text))) + "`"
}

func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "*", `\*`, "_", `\_`).Replace(text)
}
