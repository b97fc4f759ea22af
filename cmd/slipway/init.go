package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/project"
	"slipway/internal/project/scaffold"
)

func newInitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "init", Short: "Write slipway.yaml, and manifests if there are none", Args: cobra.NoArgs,
		Long: `Writes a slipway.yaml with the environments that Slipway detects in the repository, and the
class of each. If the repository has only a Dockerfile, init also writes manifests: a base with overlays
for dev, staging and prod, or with --helm a chart with values files for them. If it has one directory of
manifests, init writes overlays for it. It never changes existing files.`,
	}
	var chart, show bool
	cmd.Flags().BoolVar(&chart, "helm", false, "write a Helm chart instead of a base with overlays")
	cmd.Flags().BoolVar(&show, "print", false, "print the files instead of writing them")
	cmd.RunE = func(*cobra.Command, []string) error { return runInit(a, chart, show) }
	return cmd
}

func runInit(a *app, chart, show bool) error {
	p, files, err := scaffold.Make(a.dir, chart)
	a.notes(project.NoteTexts(p.Notes))
	if err != nil {
		return err
	}
	if show {
		for _, f := range files {
			if len(files) > 1 {
				fmt.Fprintf(a.stdout, "-- %s --\n", f.Path)
			}
			fmt.Fprint(a.stdout, f.Text)
		}
		return nil
	}
	written, err := scaffold.Write(p, files)
	for _, f := range written {
		fmt.Fprintln(a.stdout, "wrote", f.Path)
	}
	if err != nil {
		return err
	}
	a.warn("next: slipway check")
	return nil
}
