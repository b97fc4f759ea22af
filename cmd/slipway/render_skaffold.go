package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/project"
	"slipway/internal/render"
)

// renderSkaffold picks profiles of a skaffold.yaml for one run.
type renderSkaffold struct {
	profiles []string
	explain  bool
}

func (s *renderSkaffold) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVarP(&s.profiles, "profile", "p", nil,
		"profiles of skaffold.yaml, as skaffold render -p; -NAME deactivates one")
	f.BoolVar(&s.explain, "explain", false,
		"explain which profiles of skaffold.yaml are active; with -o json print the resulting configuration")
}

// errNothingToExplain refuses --explain for an environment without profiles.
var errNothingToExplain = errors.New("--explain needs an environment of a skaffold.yaml")

// explainedJSON is the output of render --explain -o json.
type explainedJSON struct {
	Config      map[string]any `json:"config"`
	Environment string         `json:"environment"`
	File        string         `json:"file"`
	Profiles    []string       `json:"profiles"`
}

// run prints the active profiles of each environment and the reason; as JSON also the configuration.
func (s *renderSkaffold) run(ctx context.Context, a *app, r *render.Renderer, envs []project.Environment,
	out renderOutput) error {
	for _, env := range envs {
		if env.Skaffold == nil {
			return errNothingToExplain
		}
		configs, err := r.Explain(ctx, env)
		if err != nil {
			return err
		}
		for _, c := range configs {
			for _, w := range c.Warnings {
				a.warn("warning: %s", w)
			}
			if out.kind == asJSON {
				explained := explainedJSON{Environment: env.Name, File: c.File, Profiles: c.Profiles(), Config: c.Config}
				if err := a.json(explained); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(a.stdout, "%s ← %s\n", env.Name, strings.TrimSpace(c.File+" "+c.Name))
			for _, f := range c.Fired {
				fmt.Fprintf(a.stdout, "  + %s  %s  (%s:%d)\n", f.Profile, f.Why, c.File, f.Line)
			}
			for _, f := range c.NotFired {
				fmt.Fprintf(a.stdout, "  - %s  %s  (%s:%d)\n", f.Profile, f.Why, c.File, f.Line)
			}
			for _, ch := range c.Changes {
				fmt.Fprintf(a.stdout, "  ~ %s  by %s (%s:%d)\n", ch.Path, ch.Profile, c.File, ch.Line)
			}
		}
	}
	return nil
}
