package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/check"
	"slipway/internal/check/contract"
	"slipway/internal/check/finding"
	"slipway/internal/check/origin"
	"slipway/internal/ci"
	"slipway/internal/deploy"
	"slipway/internal/git/forge"
	"slipway/internal/project"
	"slipway/internal/project/source"
	"slipway/internal/promote"
	"slipway/internal/web"
	"slipway/internal/web/browser"
)

type uiOptions struct {
	listen    string
	noBrowser bool
}

func newUICommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ui", Short: "Show all environments in a browser", Args: cobra.NoArgs,
		Long: `Serves the project's pages on this machine until interrupted, opens a browser, and prints
the address. The pages use your kubeconfig, as the other commands do; no agent is needed. They are
reachable only from this machine, and only with the random token in the address, which the browser keeps
in a cookie.`,
	}
	var o uiOptions
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "`HOST:PORT` to listen on; port 0 is a free one")
	cmd.Flags().BoolVar(&o.noBrowser, "no-browser", false, "print the address, and open no browser")
	cmd.RunE = func(c *cobra.Command, _ []string) error { return runUI(c.Context(), a, o) }
	return cmd
}

func runUI(ctx context.Context, a *app, o uiOptions) error {
	local, err := web.Listen(o.listen)
	if err != nil {
		return err
	}
	if _, err := a.source(ctx); err != nil {
		return err
	}
	build := buildOptions(a.cli)
	site, err := web.New(ctx, web.Options{
		Sources: func(ctx context.Context) ([]project.Source, error) {
			src, err := source.Open(ctx, a.dir)
			return []project.Source{src}, err
		},
		Connect: web.Remember(func(src project.Source, env project.Environment) (deploy.Target, error) {
			t, err := deploy.Connect(src, env, a.connectOptions())
			t.Render = a.renderOptions("deploy")
			return t, err
		}),
		Upstream: promote.Upstream, Revert: promote.Revert,
		Findings: func(ctx context.Context, src project.Source) (finding.Outcome, error) {
			c, err := check.Project(ctx, src.Project, src.Project.Environments, check.Options{
				Namespace: a.namespace, Render: a.renderOptions("render"),
			})
			return c.Outcome(), err
		},
		Why: func(
			ctx context.Context, src project.Source, env project.Environment, q origin.Question,
		) (origin.Chain, error) {
			return origin.Explain(ctx, src.Project, env, q, a.renderOptions("render"))
		},
		Compare: func(ctx context.Context, src project.Source, from, to string) (contract.Result, error) {
			return compareIn(ctx, a, src.Project, from, to)
		},
		Promotes: promote.Clone{Connect: a.connectOptions(), Checks: func(repository string) (forge.Forge, error) {
			return forge.Forge{}.FromEnvironment(repository, os.Getenv)
		}},
		Build: &build, Who: ci.Actor(os.Getenv), Hint: hintOf,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, local.URL())
	if !o.noBrowser {
		if err := browser.Open(local.TicketURL()); err != nil && !errors.Is(err, browser.ErrNone) {
			a.warn("warning: the browser was not opened: %v", err)
		}
	}
	defer site.Wait()
	return local.Serve(ctx, site.Handler())
}

// hintOf says what to do about an error.
func hintOf(err error) string {
	_, hint := lookUp(err)
	return hint
}
