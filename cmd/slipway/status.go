package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/image"
	"slipway/internal/promote"
	"slipway/internal/words"
)

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what runs in each environment, and how far behind it is", Args: cobra.NoArgs,
		Long: `Reads each environment's release record and the health of its objects, and asks the registry
which commit each image was built from. Below the table, it lists images whose commit differs from that
of the release, how many commits an environment is behind the previous one in slipway.yaml, and which
gates are closed for a promotion, why, and for how long. For an environment that Argo CD or Flux
deploys, it shows what their objects report.

To evaluate gates, it fetches verdicts and notes from the Git remote, and asks the forge for checks with
the token in GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN or FORGEJO_TOKEN.`,
	}
	out := a.outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error { return runStatus(c.Context(), a, *out) }
	return cmd
}

func runStatus(ctx context.Context, a *app, out format) error {
	src, err := a.source(ctx)
	if err != nil {
		return err
	}
	board := promote.Board(ctx, src, a.connector(src), nil)
	if out == asJSON {
		for _, s := range board {
			if err := a.json(s); err != nil {
				return err
			}
		}
	} else if err := printBoard(a.stdout, board); err != nil {
		return err
	}
	var first error
	for _, s := range board {
		switch {
		case first == nil:
			first = s.Unread
		case s.Unread != nil:
			a.warn("error: %v", s.Unread)
		}
	}
	return first
}

func printBoard(w io.Writer, board []promote.Standing) error {
	s := styleOf(w)
	const health = 5
	t := table{paint: func(row, column int, cell string) string {
		switch {
		case row == 0:
			return s.bold(cell)
		case column == health && (board[row-1].Deployed() || len(board[row-1].Keepers) > 0):
			return s.state(board[row-1].Healthy, cell)
		}
		return cell
	}}
	t.add("ENVIRONMENT", "CLASS", "RELEASE", "IMAGE", "COMMIT", "HEALTH", "AGE", "BY")
	for _, s := range board {
		t.add(boardRow(s)...)
	}
	if err := t.print(w); err != nil {
		return err
	}
	for _, line := range board {
		if line.Drift != nil {
			fmt.Fprintln(w, s.yellow(fmt.Sprintf("%s: %s%s: `slipway drift %s`", line.Environment,
				line.Drift.Summary(), hands(*line.Drift), line.Environment)))
		}
		for _, p := range line.Pauses.Lines(time.Now()) {
			fmt.Fprintln(w, s.yellow(line.Environment+": "+clean(p)))
		}
		for _, g := range gateLines(line.Gates) {
			fmt.Fprintln(w, s.yellow(line.Environment+": "+clean(oneLine(g))))
		}
		for _, n := range line.Notes {
			fmt.Fprintln(w, s.dim(line.Environment+": "+brief(n)))
		}
	}
	return nil
}

// gateLines say why gates are shut, and for how long, a line each. Gates do not matter to an environment that
// runs the images already.
func gateLines(d *promote.Decision) (lines []string) {
	if d == nil || d.Current {
		return nil
	}
	if d.Error != "" {
		lines = append(lines, "gates unknown: "+d.Error)
	}
	for _, g := range d.Shut() {
		since := ""
		if !g.Since.IsZero() {
			since = " for " + age(g.Since)
		}
		line := fmt.Sprintf("gate shut%s: %s", since, g.Why)
		if !g.Opens.IsZero() {
			line += fmt.Sprintf(" (it opens in %s)", words.Duration(max(0, time.Until(g.Opens)).Round(time.Second)))
		}
		lines = append(lines, line)
	}
	return lines
}

func boardRow(s promote.Standing) []string {
	if s.Release == nil && len(s.Keepers) > 0 {
		k, since := s.Keepers[0], "-"
		if !k.Report.Since.IsZero() {
			since = age(k.Report.Since)
		}
		return []string{s.Environment, string(s.Class), "-", "-", short(k.Report.Commit()), brief(s.Health), since,
			k.Tool}
	}
	if s.Release == nil {
		return []string{s.Environment, string(s.Class), "-", "-", "-", s.Health, "-", "-"}
	}
	r := s.Release
	return []string{
		s.Environment, string(s.Class), fmt.Sprint(r.Revision), imageNames(r.Images), short(r.Commit),
		brief(s.Health), age(r.Started), r.Who,
	}
}

// maxImages is how many images are named on the board, so that a line does not wrap; --output json has all.
const maxImages = 3

// imageNames prints "myapp:sha-3f9c2e1", and "api,worker:sha-3f9c2e1" where they share a tag.
func imageNames(pins []image.Pin) string {
	if len(pins) == 0 {
		return "-"
	}
	names, tags := make([]string, len(pins)), map[string]bool{}
	for i, p := range pins {
		names[i] = p.Name[strings.LastIndex(p.Name, "/")+1:]
		tags[p.Tag] = true
	}
	if len(tags) > 1 {
		for i, p := range pins {
			names[i] += ":" + p.Tag
		}
	}
	text := strings.Join(names[:min(len(names), maxImages)], ",")
	if n := len(names) - maxImages; n > 0 {
		text += fmt.Sprintf(",+%d", n)
	}
	if len(tags) == 1 {
		text += ":" + pins[0].Tag
	}
	return text
}
