package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/ci"
	"slipway/internal/ci/pipeline"
)

func newCICommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ci github|gitlab", Short: "Write the workflow that checks, builds, plans and deploys this project",
		Long: `Writes .github/workflows/slipway.yml or .gitlab-ci.yml: pull requests are checked and get a plan as a
comment, which forks do not; a push to the main branch is built once and passes the environments in the
order of slipway.yaml, those of class production last and behind an environment that you protect. What
only you know, such as how a job logs in to a cluster with OIDC, stands between marks: fill it in once.
Written again, what is between the marks is kept. A file that was changed elsewhere is never written
over: the difference is shown.

With --gitops no job reaches a cluster: each environment's ends with "slipway promote", a commit that says
which images it runs.`,
		ValidArgs: ci.Names(),
		Args: func(cmd *cobra.Command, args []string) error {
			err := named("the name of a platform: github or gitlab")(cmd, args)
			if err == nil && !slices.Contains(cmd.ValidArgs, args[0]) {
				err = fmt.Errorf("%s writes for github or gitlab, not for %q", cmd.CommandPath(), args[0])
			}
			return err
		},
	}
	var show, gitops bool
	cmd.Flags().BoolVar(&show, "print", false, "print what would be written")
	cmd.Flags().BoolVar(&gitops, "gitops", false, "end at a commit instead of a deploy")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		return runCI(c.Context(), a, args[0], show, gitops)
	}
	return cmd
}

func runCI(ctx context.Context, a *app, name string, show, gitops bool) error {
	p, err := a.project()
	if err != nil {
		return err
	}
	platform, _ := ci.Named(name)
	options := pipeline.Options{GitOps: gitops, Render: a.renderOptions("render")}
	w, err := pipeline.Make(ctx, p, platform, options)
	if err != nil {
		return err
	}
	if show {
		_, err = fmt.Fprint(a.stdout, w.Text)
		return err
	}
	change, toFill, err := w.Write()
	var foreign *pipeline.ForeignError
	switch {
	case errors.As(err, &foreign):
		for _, l := range differing(foreign.Old, foreign.New) {
			fmt.Fprintln(a.stdout, styleOf(a.stdout).mark(l[:1], clean(l)))
		}
		return err
	case err != nil:
		return err
	case change == pipeline.Created:
		fmt.Fprintln(a.stdout, "wrote", w.File)
	case change == pipeline.Renewed:
		fmt.Fprintln(a.stdout, "wrote", w.File, "again, with what is yours in it")
	default:
		fmt.Fprintln(a.stdout, w.File, "is as it should be")
	}
	if toFill {
		a.warn("next: fill in what stands between %q marks in %s; `grep -n %q` finds it",
			"yours", w.File, ci.ToFill)
	}
	return nil
}

// differing are the lines that one text has and the other has not, in their order; "…" is where lines
// that both have are left out.
func differing(before, after string) []string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	if len(a)*len(b) > 4_000_000 {
		return lineDiff(before, after)
	}
	common := make([][]int, len(a)+1) // how many lines the rests have in common
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	lines := []string{"- what is there", "+ what would be written"}
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if lines[len(lines)-1] != "  …" {
				lines = append(lines, "  …")
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}
