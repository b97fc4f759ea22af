package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/deploy"
	"slipway/internal/image"
	"slipway/internal/project"
	"slipway/internal/release"
)

// standing is one line of the board.
type standing struct {
	Environment string           `json:"environment"`
	Class       project.Class    `json:"class"`
	Release     *release.Release `json:"release,omitempty"`
	Healthy     bool             `json:"healthy"`
	Health      string           `json:"health"`
	// Running says for each image which commit it was built from.
	Running []running `json:"running,omitempty"`
	// Behind is how it stands to the environment before it.
	Behind *lag `json:"behind,omitempty"`
	// Notes are what there is to say about both, one sentence each.
	Notes []string `json:"notes,omitempty"`
	// Error is why the environment could not be read.
	Error string `json:"error,omitempty"`
}

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what runs in each environment, and how far behind it is", Args: cobra.NoArgs,
		Long: `Reads each environment's record, the health of its objects, and in the registry which commit its images were
built from. Below the table it says where an image is of another commit than the release, and how many
commits an environment is behind the one before it in the project's order.`,
	}
	out := outputFlag(cmd, asText, asJSON)
	cmd.RunE = func(c *cobra.Command, _ []string) error { return runStatus(c.Context(), a, *out) }
	return cmd
}

func runStatus(ctx context.Context, a *app, out format) error {
	src, err := a.source(ctx)
	if err != nil {
		return err
	}
	board := make([]standing, len(src.Project.Environments))
	unread := make([]error, len(board))
	var all sync.WaitGroup
	for i, env := range src.Project.Environments {
		all.Go(func() {
			var err error
			if board[i], err = a.stand(ctx, src, env); err != nil {
				board[i].Health, board[i].Error = "unknown", err.Error()
				unread[i] = fmt.Errorf("status of %s: %w", env.Name, err)
			}
		})
	}
	all.Wait()
	a.place(ctx, board)
	if out == asJSON {
		for _, s := range board {
			if err := a.json(s); err != nil {
				return err
			}
		}
	} else if err := a.printBoard(board); err != nil {
		return err
	}
	return a.oneOf(unread)
}

// oneOf is the first of several errors; the others are said here.
func (a *app) oneOf(errs []error) error {
	var first error
	for _, err := range errs {
		switch {
		case first == nil:
			first = err
		case err != nil:
			a.warn("error: %v", err)
		}
	}
	return first
}

func (a *app) printBoard(board []standing) error {
	s := styleOf(a.stdout)
	const health = 5
	t := table{paint: func(row, column int, cell string) string {
		switch {
		case row == 0:
			return s.bold(cell)
		case column == health && board[row-1].Release != nil && board[row-1].Health != "deleted":
			return s.state(board[row-1].Healthy, cell)
		}
		return cell
	}}
	t.add("ENVIRONMENT", "CLASS", "RELEASE", "IMAGE", "COMMIT", "HEALTH", "AGE", "BY")
	for _, s := range board {
		t.add(s.row()...)
	}
	if err := t.print(a.stdout); err != nil {
		return err
	}
	for _, line := range board {
		for _, n := range line.Notes {
			fmt.Fprintln(a.stdout, s.dim(line.Environment+": "+brief(n)))
		}
	}
	return nil
}

// stand reads one environment's record, and how its objects are now.
func (a *app) stand(ctx context.Context, src project.Source, env project.Environment) (standing, error) {
	s := standing{Environment: env.Name, Class: env.Class}
	t, err := a.targetOf(src, env)
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	rel, err := t.Records().Latest(ctx)
	if errors.Is(err, release.ErrNone) {
		s.Health = "not deployed"
		return s, nil
	} else if err != nil {
		return s, err
	}
	s.Release = &rel
	if rel.Status != release.Deleted {
		s.Running, s.Notes = commitsOf(ctx, rel, a.imageOptions(t))
		if rel.Dirty && rel.Commit != "" {
			s.Notes = append(s.Notes, fmt.Sprintf("release %d has changes that were not committed, on top of %s", rel.Revision, short(rel.Commit)))
		}
	}
	s.Healthy, s.Health, err = deploy.Health(ctx, t, rel)
	return s, err
}

func (s standing) row() []string {
	if s.Release == nil {
		return []string{s.Environment, string(s.Class), "-", "-", "-", s.Health, "-", "-"}
	}
	r := s.Release
	return []string{
		s.Environment, string(s.Class), fmt.Sprint(r.Revision), images(r.Images), short(r.Commit), brief(s.Health), age(r.Started), r.Who,
	}
}

// maxImages is how many images are named on the board; a line that wraps is none.
const maxImages = 3

// images prints "myapp:sha-3f9c2e1", and "api,worker:sha-3f9c2e1" where they share a tag; the rest is in
// --output json.
func images(pins []image.Pin) string {
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
