package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
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
	// Error is why the environment could not be read.
	Error string `json:"error,omitempty"`
}

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what runs in each environment", Args: cobra.NoArgs,
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
	var board []standing
	var unread []error
	for _, env := range src.Project.Environments {
		s, err := a.stand(ctx, src, env)
		if err != nil {
			s.Health, s.Error = "unknown", err.Error()
			unread = append(unread, fmt.Errorf("status of %s: %w", env.Name, err))
		}
		board = append(board, s)
	}
	if out == asJSON {
		for _, s := range board {
			if err := a.json(s); err != nil {
				return err
			}
		}
		return errors.Join(unread...)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENVIRONMENT\tCLASS\tRELEASE\tIMAGE\tCOMMIT\tHEALTH\tAGE\tBY")
	for _, s := range board {
		fmt.Fprintln(w, s.row())
	}
	return errors.Join(append(unread, w.Flush())...)
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
	s.Healthy, s.Health, err = deploy.Health(ctx, t, rel)
	return s, err
}

func (s standing) row() string {
	if s.Release == nil {
		return strings.Join([]string{s.Environment, string(s.Class), "-", "-", "-", s.Health, "-", "-"}, "\t")
	}
	r := s.Release
	return strings.Join([]string{
		s.Environment, string(s.Class), fmt.Sprint(r.Revision), images(r.Images), short(r.Commit), s.Health, age(r.Started), r.Who,
	}, "\t")
}

// images prints "myapp:sha-3f9c2e1"; the registry is in --output json.
func images(pins []image.Pin) string {
	if len(pins) == 0 {
		return "-"
	}
	names := make([]string, len(pins))
	for i, p := range pins {
		names[i] = p.Name[strings.LastIndex(p.Name, "/")+1:] + ":" + p.Tag
	}
	return strings.Join(names, ",")
}
