package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/release"
	"slipway/internal/words"
)

func newHistoryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "history ENV [REVISION]", Short: "List an environment's releases, or show one", Args: a.envArgs(1),
		Long: `Lists the last ten releases, newest first, and the last healthy one. With REVISION, it shows
one release: who deployed it, when, its images by digest, the changes, and why it failed.`,
	}
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		revision, err := revisionArg(args)
		if err != nil {
			return err
		}
		return runHistory(c.Context(), a, args[0], revision, *out)
	}
	return cmd
}

func runHistory(ctx context.Context, a *app, name string, revision int, out format) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	if revision > 0 {
		return showRelease(ctx, a.cli, t, revision, out)
	}
	history, others, err := deploy.History(ctx, t)
	for _, line := range others {
		a.warn("warning: %s", line)
	}
	if err != nil {
		return err
	}
	if out == asJSON {
		for _, rel := range history {
			if err := a.json(rel); err != nil {
				return err
			}
		}
		return nil
	}
	return printHistory(a.stdout, history)
}

func printHistory(w io.Writer, history []release.Release) error {
	s := styleOf(w)
	t := table{paint: func(row, column int, cell string) string {
		switch {
		case row == 0:
			return s.bold(cell)
		case column == 1:
			return s.status(history[row-1].Status)
		}
		return cell
	}}
	t.add("RELEASE", "STATUS", "TAG", "COMMIT", "AGE", "BY", "")
	for _, rel := range history {
		note := cmp.Or(rel.ContentText(), clip(brief(firstLine(rel.Failure))))
		if rel.Namespace != "" {
			note = strings.TrimPrefix(note+", in namespace "+rel.Namespace, ", ")
		}
		t.add(fmt.Sprint(rel.Revision), string(rel.Status), cmp.Or(tagsOf(rel), "-"), short(rel.Commit),
			age(rel.Started), rel.Who, note)
	}
	return t.print(w)
}

// tagsOf are a few of a release's tags.
func tagsOf(rel release.Release) string {
	tags := rel.Tags()
	if n := len(tags) - maxImages; n > 0 {
		tags = append(tags[:maxImages], fmt.Sprintf("+%d", n))
	}
	return strings.Join(tags, ",")
}

// showRelease prints one record with its evidence.
func showRelease(ctx context.Context, c *cli, t deploy.Target, revision int, out format) error {
	rel, err := t.Records().Get(ctx, revision)
	if err != nil {
		return err
	}
	if out == asJSON {
		return c.json(rel)
	}
	printRelease(c.stdout, rel)
	return nil
}

func printRelease(w io.Writer, rel release.Release) {
	s := styleOf(w)
	fmt.Fprintf(w, "%s  %s\n", s.bold(fmt.Sprintf("%s → %s  release %d", rel.Project, rel.Environment,
		rel.Revision)), s.status(rel.Status))
	say := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, text)
		}
	}
	if rel.Namespace != "" {
		say("in", "namespace "+rel.Namespace)
	}
	say("commit", rel.Commit)
	if rel.Override != nil {
		say("not in Git", rel.OverrideText())
	} else if rel.Dirty {
		say("", "with uncommitted changes")
	}
	say("by", rel.Who)
	when := fmt.Sprintf("%s (%s ago)", rel.Started.Format(time.RFC3339), age(rel.Started))
	if !rel.Finished.IsZero() {
		when += fmt.Sprintf(", took %s", words.Duration(rel.Finished.Sub(rel.Started)))
	}
	say("started", when)
	if rel.RollbackOf > 0 {
		say("content", fmt.Sprintf("of release %d", rel.RollbackOf))
	}
	if rel.Older {
		say("allowed", "an older commit than the release before it had")
	}
	for _, a := range rel.Allowed {
		for _, f := range a.Findings {
			say("allowed", fmt.Sprintf("%s: %s; reason: %s", a.Rule, f, a.Reason))
		}
	}
	for _, pin := range rel.Images {
		say("image", pin.Reference())
	}
	for _, ref := range rel.Applied {
		say("changed", ref.String())
	}
	for _, ref := range rel.Kept {
		say("kept", ref.String())
	}
	for _, line := range rel.Irreversible {
		say("one way", line)
	}
	if len(rel.NotRun) > 0 {
		say("not run", deploy.NotRunText(rel))
	}
	for _, l := range rel.Lost {
		say("lost", l.Ref.String()+": "+deploy.LostText(l))
	}
	if rel.Status == release.Failed {
		printEvidence(w, deploy.Event{Message: rel.Failure, Evidence: rel.Evidence})
	} else {
		say("failure", rel.Failure)
	}
}

// status colours the status of a release.
func (s style) status(status release.Status) string {
	switch text := string(status); status {
	case release.Healthy:
		return s.green(text)
	case release.Failed:
		return s.red(text)
	case release.Pending, release.Interrupted, release.Superseded:
		return s.yellow(text)
	default:
		return text
	}
}
