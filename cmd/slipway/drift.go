package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/object"
	"slipway/internal/plan"
	"slipway/internal/words"
)

// errHasDrift is the answer of drift --exit-code.
var errHasDrift = errors.New("the environment has drifted")

type driftOptions struct {
	act                     *actOptions
	out                     *format
	exitCode, revert, adopt bool
	hold                    *time.Duration
	reason                  string
}

func newDriftCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "drift ENV", Short: "Show how the cluster differs from the last release", Args: a.envArgs(0),
		Long: `Compares the cluster with the environment's newest release. It lists fields that differ,
with who changed them and when; deleted objects; added objects that have the environment's labels; and
tags that name another image now. Fields that controllers and webhooks add are listed, but are not
drift. Secret values are never shown. Without --revert, drift writes nothing.

--revert deploys the release again as recorded, with a plan, a confirmation and a release of its own. It
keeps added objects, except those that --prune KIND/NAME names.
--adopt prints the changes to make in the source instead: a patch for each changed object, to list under
"patches:" of a kustomization, and a manifest for each added one.
--hold 2h --reason TEXT keeps an agent from repairing drift for two hours; --hold 0 ends the hold.`,
		Example: "  slipway drift prod\n  slipway drift prod --exit-code -o json\n  slipway drift prod --revert\n" +
			"  slipway drift prod --adopt > k8s/overlays/prod/adopted.yaml",
	}
	o := driftOptions{act: &actOptions{}}
	o.out = a.outputFlag(cmd, asText, asJSON, asMarkdown)
	o.act.out = o.out
	f := cmd.Flags()
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 3 if the environment has drifted")
	f.BoolVar(&o.revert, "revert", false, "deploy the recorded release again")
	f.BoolVar(&o.adopt, "adopt", false, "print patches that bring the source in line with the cluster")
	holdFlag(f, &o.hold)
	f.StringVar(&o.reason, "reason", "", "reason for --hold, shown with the hold")
	cmd.Flags().StringArrayVar(&o.act.permits.Prune, "prune", nil,
		"with --revert, also delete the added object `KIND/NAME`; may be repeated")
	waitFlags(cmd, o.act)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		err := errors.Join(notBoth(c, "revert", "adopt"), notBoth(c, "revert", "exit-code"),
			notBoth(c, "revert", "hold"), notBoth(c, "adopt", "hold"))
		switch {
		case err != nil:
			return err
		case o.revert:
			return runRevert(c.Context(), a, args[0], o.act)
		case o.hold != nil:
			return runHold(c.Context(), a, args[0], o)
		case o.reason != "":
			return &usageError{errors.New("--reason is for --hold")}
		case o.act.yes || o.act.timeout > 0 || len(o.act.permits.Prune) > 0:
			return &usageError{errors.New("--yes, --timeout and --prune are for --revert")}
		}
		return runDrift(c.Context(), a, args[0], o)
	}
	return cmd
}

func runDrift(ctx context.Context, a *app, name string, o driftOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	d, err := deploy.FindDrift(ctx, t)
	if err != nil {
		return err
	}
	switch {
	case o.adopt && *o.out == asJSON:
		err = a.json(deploy.Adopt(d))
	case o.adopt:
		err = printPatches(a.stdout, deploy.Adopt(d))
	case *o.out == asJSON:
		err = a.json(d)
	case *o.out == asMarkdown:
		_, err = io.WriteString(a.stdout, driftMarkdown(d))
	default:
		printDrift(a.stdout, d)
	}
	if unread, ok := d.Unread(); ok && err == nil {
		err = &deploy.UnreadError{Environment: name, Object: unread}
	}
	if err == nil && o.exitCode && d.Count() > 0 {
		return errHasDrift
	}
	return err
}

func runRevert(ctx context.Context, a *app, name string, o *actOptions) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	t.Notify = listen(a.cli, o)
	proposal, err := deploy.ProposeRevert(ctx, t, o.permits.Prune)
	if err != nil {
		return err
	}
	return carryOut(ctx, a.cli, t, proposal, o)
}

// printDrift prints drift for a person.
func printDrift(w io.Writer, d deploy.Drift) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s  release %d (%s): %s\n", s.bold(d.Environment), d.Release, d.Status, d.Summary())
	for _, k := range d.Keepers {
		fmt.Fprintln(w, s.yellow("  "+clean(k.String())))
	}
	for _, line := range d.Pauses.Lines(time.Now()) {
		fmt.Fprintln(w, s.yellow("  "+clean(line)))
	}
	for _, o := range d.Changed {
		printDrifted(w, o)
	}
	for _, o := range d.Added {
		fmt.Fprintln(w, s.mark("+", fmt.Sprintf("  + %s   added%s (%s)", o.Ref, byWhom(o.By), clean(o.Mark))))
	}
	for _, tag := range d.Tags {
		fmt.Fprintf(w, "  ! %s names %s now; the release runs %s\n", clean(tag.Image), tag.Now, tag.Recorded)
	}
	for _, k := range d.Kept {
		on := k.On[0].String()
		if len(k.On) > 1 {
			on = count(len(k.On), "object")
		}
		fmt.Fprintln(w, s.dim(fmt.Sprintf("  = %s holds %s of %s: kept", clean(k.Adder()), clean(k.Field), on)))
	}
	for _, o := range d.Others {
		fmt.Fprintln(w, s.dim(fmt.Sprintf("  · %s belongs to no release%s", o.Ref, byWhom(o.By))))
	}
	for _, n := range d.Notes {
		fmt.Fprintln(w, s.dim("  · "+brief(oneLine(n))))
	}
	switch {
	case d.Count() > len(d.Added):
		fmt.Fprintf(w, "Run `slipway drift %s --revert` to restore the release, or --adopt to print patches for "+
			"the source.\n", d.Environment)
	case len(d.Added) > 0:
		fmt.Fprintf(w, "Run `slipway drift %s --adopt` to print the added objects for the source.\n", d.Environment)
	}
	if len(d.Added) > 0 {
		prune := ""
		for _, o := range d.Added {
			prune += fmt.Sprintf(" --prune %s/%s", o.Ref.Kind, o.Ref.Name)
		}
		fmt.Fprintf(w, "Run `slipway drift %s --revert%s` to delete the added objects.\n", d.Environment, prune)
	}
}

func printDrifted(w io.Writer, o deploy.Drifted) {
	s := styleOf(w)
	mark, text := "~", ""
	switch o.What {
	case deploy.Deleted:
		mark, text = "-", "   deleted"
	case deploy.Unknown:
		reason := strings.TrimPrefix(o.Reason, o.Ref.String()+": ")
		mark, text = "!", "   cannot be compared: "+brief(oneLine(reason))
	}
	if at := o.Origin.String(); at != "" {
		text += s.dim("   " + clean(at))
	}
	fmt.Fprintln(w, s.mark(mark, fmt.Sprintf("  %s %s", mark, o.Ref))+text)
	for _, f := range o.Fields {
		from, to := values(fieldValue(f.Path, f.Recorded, ""), fieldValue(f.Path, f.Live, ""))
		fmt.Fprintf(w, "      %s   %s %s %s   %s\n", clean(f.Path), from, s.dim("→"), to, s.dim(fieldHand(f)))
	}
}

// fieldHand says who changed a field, and when.
func fieldHand(f deploy.DriftedField) string {
	switch {
	case f.By != nil:
		return strings.TrimSpace(byWhom(f.By))
	case f.Live == nil:
		return "removed; the server does not record by whom"
	}
	return "the server does not record by whom"
}

// byWhom is " by kubectl-edit 5m ago".
func byWhom(h *plan.Holder) string {
	if h == nil {
		return ""
	}
	text := " by " + clean(h.Manager)
	if h.Subresource != "" {
		text += " (" + h.Subresource + ")"
	}
	if !h.Time.IsZero() {
		text += " " + age(h.Time) + " ago"
	}
	return text
}

// hands is ", by kubectl-edit 5m ago and kubectl-set 2h ago".
func hands(d deploy.Drift) string {
	var all []string
	for _, h := range d.Hands() {
		all = append(all, strings.TrimPrefix(byWhom(&h), " by "))
	}
	if len(all) == 0 {
		return ""
	}
	return ", by " + words.And(all[:min(len(all), 3)])
}

// driftMarkdown is a report for a pull request or an issue.
func driftMarkdown(d deploy.Drift) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### drift of %s\n\nrelease %d (%s): %s\n", markdownText(d.Environment), d.Release, d.Status,
		d.Summary())
	if len(d.Changed)+len(d.Added) > 0 {
		b.WriteString("\n| object | field | release | cluster | by |\n|---|---|---|---|---|\n")
	}
	row := func(ref object.Ref, field, from, to, by string) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(ref.String()), cell(field), cell(from), cell(to),
			escaped(by))
	}
	for _, o := range d.Changed {
		if o.What != deploy.Changed {
			row(o.Ref, "", "", o.What, oneLine(clean(o.Reason)))
		}
		for _, f := range o.Fields {
			from, to := values(fieldValue(f.Path, f.Recorded, ""), fieldValue(f.Path, f.Live, ""))
			row(o.Ref, f.Path, from, to, fieldHand(f))
		}
	}
	for _, s := range d.Added {
		row(s.Ref, "", "", "added", strings.TrimSpace(byWhom(s.By)))
	}
	for _, tag := range d.Tags {
		fmt.Fprintf(&b, "\n%s names %s now; the release runs %s.\n", cell(tag.Image), cell(tag.Now),
			cell(tag.Recorded))
	}
	return b.String()
}

// printPatches prints patches and manifests as YAML documents.
func printPatches(w io.Writer, patches []deploy.Patch) error {
	for _, p := range patches {
		text, err := p.YAML()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "---\n# %s", clean(p.Ref.String()))
		if at := p.Origin.String(); at != "" {
			fmt.Fprintf(w, ", now at %s", clean(at))
		}
		fmt.Fprintln(w)
		for _, left := range p.Left {
			fmt.Fprintf(w, "# left out: %s\n", clean(left))
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
